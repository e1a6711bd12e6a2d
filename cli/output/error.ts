/**
 * Errors as the user sees them, on stderr: one sentence what happened, one hint what to do. No capital, no full stop.
 */
import { WarrenError } from '../../protocol/errors.js';
import type { Colours } from './colour.js';
import { clean } from './text.js';

/** @returns one or two lines, each closed by a newline */
export function formatError(error: unknown, colour: Colours): string {
  const known = error instanceof WarrenError;
  const sentence = known ? error.message : `unexpected: ${error instanceof Error ? error.message : String(error)}`;
  const hint = known ? error.hint : 'this is a fault of warren itself; `warren logs` and `warren doctor` may say more';
  const lines = [`${colour.red('warren')}: ${clean(sentence)}`];
  if (hint !== undefined && hint !== '') lines.push(`${colour.cyan('hint')}: ${clean(hint)}`);
  return `${lines.join('\n')}\n`;
}
