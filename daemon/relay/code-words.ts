/** What the codes of relay streams mean, in words. */
import type { Code } from '../../protocol/codes.js';

const WORDS: Partial<Record<Code, string>> = {
  denied: 'the relay does not carry links for this node',
  'no-service': 'the relay has no link to that node',
  limit: 'the relay carries as many links as it may',
  draining: 'the relay is on its way out, or relays no more',
  'link-lost': 'a link of the relay was lost',
  cancelled: 'given up by the other side',
  'peer-restarted': 'the relay, or a node next to it, has restarted',
  'grace-over': 'the relay was not reached for too long',
};

export function relayWords(code: Code): string {
  return WORDS[code] ?? `the relay ended it with the code ${code}`;
}
