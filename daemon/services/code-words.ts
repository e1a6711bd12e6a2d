/** What the codes of refused streams mean, in words. */
import type { Code } from '../../protocol/codes.js';

const WORDS: Partial<Record<Code, string>> = {
  denied: 'its rules do not allow this node',
  'no-service': 'it is not exposed there any more',
  refused: 'it cannot be reached',
  'dial-timeout': 'its target does not answer',
  'target-failed': 'the connection to its target broke',
  'grace-over': 'the connection to that node was lost for too long',
  'peer-restarted': 'that node restarted',
  draining: 'that node is on its way out',
  limit: 'it carries as many connections as it may',
};

const HINTS: Partial<Record<Code, string>> = {
  denied: 'The host that exposes it decides: warren expose NAME TARGET --allow THIS-NODE.',
  'no-service': 'See what there is with: warren services',
  refused: 'Check that the service runs on the host that exposes it.',
  'dial-timeout': 'Check that the service runs on the host that exposes it.',
};

/** What can be done about it. */
export function codeHint(code: Code): string {
  return HINTS[code] ?? 'Try again; see how the nodes are connected with: warren status';
}

export function codeWords(code: Code): string {
  return WORDS[code] ?? `the stream ended with the code ${code}`;
}
