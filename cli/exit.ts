/** Exit codes: the one table of docs/cli.md. */
import type { ErrorCode } from '../protocol/errors.js';

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  noDaemon: 3,
  refused: 4,
  interrupted: 130,
} as const;

/** The exit code for an error's machine code. */
export function exitCodeOf(code: ErrorCode): number {
  switch (code) {
    case 'usage':
      return EXIT.usage;
    case 'not-running':
      return EXIT.noDaemon;
    case 'not-admin':
    case 'denied':
      return EXIT.refused;
    default:
      return EXIT.failed;
  }
}
