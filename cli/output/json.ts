/** The one JSON document that `--json` puts on stdout. */
import { escapeJson } from './text.js';

/** Indented, closed by a newline, with nothing in it that a terminal would obey. */
export function jsonDocument(value: object): string {
  return `${escapeJson(JSON.stringify(value, null, 2))}\n`;
}
