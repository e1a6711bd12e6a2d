/**
 * Text that comes from the network is shown, never obeyed: control characters and the marks that reorder a line are
 * replaced before a terminal sees them. And how many columns a text takes.
 */

/** C0, DEL, C1, line and paragraph separators, bidirectional marks and overrides, zero-width marks, lone surrogates. */
const UNSAFE =
  /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]/gu;

/** One line, safe to print: each unsafe character becomes U+FFFD, a line break or tab a space. */
export function clean(text: string): string {
  return text.replace(/\r\n|[\n\r\t]/g, ' ').replace(UNSAFE, '\ufffd');
}

/** Escapes in a JSON text what a terminal might obey; the document's value stays the same. */
export function escapeJson(json: string): string {
  return json.replace(UNSAFE, char =>
    char === '\n' ? char : `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

/** East Asian Wide and Fullwidth blocks (UAX #11), the common ones. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd],
];

const EMOJI = /\p{Emoji_Presentation}|\ufe0f/u;
const COMBINING = /^[\p{M}\u200c\u200d]+$/u;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

function graphemeWidth(grapheme: string): number {
  const code = grapheme.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (COMBINING.test(grapheme)) return 0;
  if (EMOJI.test(grapheme)) return 2;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

/** Terminal columns of a cleaned text without colour codes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** Cuts a cleaned text to at most `columns` (≥ 1), the last one an ellipsis when something was cut. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let width = 0;
  let kept = '';
  for (const { segment } of graphemes.segment(text)) {
    width += graphemeWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
