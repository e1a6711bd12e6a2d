/** Tables: columns that align whatever script the cells are written in, colours that do not count as width. */
import { clean, displayWidth, truncate } from './text.js';

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** A cell: plain text, or text with a colour that is laid over it after padding. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string };

export interface TableOptions {
  /** columns of the terminal: the last column is cut to fit; undefined: nothing is cut */
  readonly width?: number | undefined;
  readonly title?: (text: string) => string;
  /** spaces before each line */
  readonly indent?: number;
}

const GAP = 2;
/** The last column keeps at least this much, whatever the terminal's width. */
const LAST_COLUMN_MIN = 8;

function pad(text: string, width: number, align: 'right' | undefined): string {
  const fill = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'right' ? fill + text : text + fill;
}

/** @returns the lines, header first, without newlines; no rows: no lines */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions = {},
): string[] {
  if (rows.length === 0) return [];
  const texts = rows.map(row => columns.map((_, i) => clean(textOf(row[i]))));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...texts.map(row => displayWidth(row[i] ?? ''))));
  const indent = ' '.repeat(options.indent ?? 0);
  const last = columns.length - 1;
  const before = indent.length + widths.slice(0, last).reduce((sum, w) => sum + w + GAP, 0);
  const room = options.width === undefined ? Infinity : Math.max(LAST_COLUMN_MIN, options.width - before);

  const line = (cells: readonly string[], paint: (i: number) => (text: string) => string): string =>
    indent +
    cells
      .map((cell, i) => {
        const { align } = columns[i] ?? {};
        if (i < last || align === 'right') return paint(i)(pad(cell, widths[i] ?? 0, align));
        return paint(i)(room === Infinity ? cell : truncate(cell, room));
      })
      .join(' '.repeat(GAP))
      .trimEnd();

  const title = options.title ?? same;
  return [
    line(
      columns.map(c => c.title),
      () => title,
    ),
    ...texts.map((row, r) => line(row, i => paintOf(rows[r]?.[i]))),
  ];
}

function textOf(cell: Cell | undefined): string {
  if (cell === undefined) return '';
  return typeof cell === 'string' ? cell : cell.text;
}

function paintOf(cell: Cell | undefined): (text: string) => string {
  return cell === undefined || typeof cell === 'string' ? same : cell.paint;
}

function same(text: string): string {
  return text;
}
