/** From figures to Markdown tables. */
import type { System } from './peers/system.js';
import { figures, type Compared, type Outcome } from './runner.js';
import { median, present, ratio, spread, type Spread } from './statistics.js';
import type { Fact, Row, Target } from './workloads/workload.js';
import { WARREN } from './workloads/workload.js';

const GB = 1e9;
const NONE = '–';

/** Columns padded, so that the table reads well as it is. Cells begin at the left in the first column, end at the right in others. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map(row => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function number(value: number | undefined, digits: number): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function range({ least, most }: Spread, digits: number): string {
  return `${number(least, digits)}–${number(most, digits)}`;
}

/** CPU seconds of both ends: per GB where bytes were moved, else per 10,000 requests. */
function cpuOf(outcomes: readonly Outcome[]): string {
  const perGb = outcomes.flatMap(o => (o?.bytes === undefined ? [] : [(o.cpu / o.bytes) * GB]));
  if (perGb.length > 0) return `${number(median(perGb), 2)} /GB`;
  const perRequest = outcomes.flatMap(o => (o?.requests === undefined ? [] : [(o.cpu / o.requests) * 10_000]));
  return perRequest.length > 0 ? `${number(median(perRequest), 2)} /10k req` : NONE;
}

/** Every system's median of one row, with its spread, what it cost, and warren's share of it. */
export function rowTable(compared: Compared, row: Row, systems: readonly System[]): string {
  const digits = row.digits ?? 0;
  const own = figures(compared, WARREN.tcp, row.key);
  const lines = systems.flatMap(({ name, kind }) => {
    const outcomes = compared.outcomes.get(name);
    if (outcomes === undefined) return [];
    const values = spread(present(figures(compared, name, row.key)));
    const share = name === WARREN.tcp ? undefined : ratio(own, figures(compared, name, row.key));
    return [
      [
        name,
        number(values?.median, digits),
        values === undefined ? NONE : range(values, digits),
        kind === 'direct' ? NONE : cpuOf(outcomes),
        share === undefined ? NONE : `${number(share.median, 2)} (${range(share, 2)})`,
      ],
    ];
  });
  return table(['', row.unit, 'spread', 'CPU s', 'warren tcp ÷ this'], lines);
}

interface Judged {
  readonly against: string;
  readonly ratio: Spread;
}

/** The best of those that the target names, by its median; undefined when one of these has no figures. Absolute ones as they are. */
function judge(compared: Compared, row: Row, target: Target, peers: readonly string[]): Judged | undefined {
  const own = figures(compared, target.of ?? WARREN.tcp, row.key);
  if (target.absolute === true) {
    const values = spread(present(own));
    return values && { against: row.unit, ratio: values };
  }
  const medians = (target.against ?? peers).map(name => ({
    name,
    value: spread(present(figures(compared, name, row.key)))?.median,
  }));
  const known = medians.filter((m): m is { name: string; value: number } => m.value !== undefined);
  if (known.length === 0 || known.length < medians.length) return undefined;
  const best = known.reduce((a, b) => (a.value > b.value === (row.better === 'more') ? a : b));
  const share = ratio(own, figures(compared, best.name, row.key));
  return share && { against: best.name, ratio: share };
}

function verdict(value: number, better: 'more' | 'less', floor: number, goal: number | undefined): string {
  const holds = (bound: number): boolean => (better === 'more' ? value >= bound : value <= bound);
  if (goal !== undefined && holds(goal)) return 'goal';
  return holds(floor) ? 'floor' : 'below';
}

function bound(better: 'more' | 'less', value: number | undefined, digits: number): string {
  return value === undefined ? NONE : `${better === 'more' ? '≥' : '≤'} ${number(value, digits)}`;
}

/**
 * What is asked for, and what was reached.
 * @param counts false: a peer is missing, and whatever is held against the peers stays without a verdict
 */
export function summary(all: readonly Compared[], peers: readonly string[], counts: boolean): string {
  const lines = all.flatMap(compared =>
    compared.workload.rows.flatMap(row =>
      row.targets.map(target => {
        const judged = judge(compared, row, target, peers);
        const of = target.of === undefined ? '' : ` (${target.of})`;
        return [
          row.title + of,
          judged?.against ?? NONE,
          judged === undefined ? NONE : number(judged.ratio.median, 2),
          judged === undefined ? NONE : range(judged.ratio, 2),
          bound(row.better, target.floor, 2),
          bound(row.better, target.goal, 2),
          judged === undefined || (!counts && target.absolute !== true)
            ? 'does not count'
            : verdict(judged.ratio.median, row.better, target.floor, target.goal),
        ];
      }),
    ),
  );
  return table(['warren ÷ best', 'best', 'ratio', 'spread', 'floor', 'goal', 'reached'], lines);
}

/** Figures that only warren has. */
export function factTable(facts: readonly Fact[]): string {
  const lines = facts.map(({ title, values, unit, digits, bound: asked }) => {
    const all = spread(values);
    return [
      title,
      `${number(all?.median, digits)} ${unit}`,
      all === undefined || values.length < 2 ? NONE : range(all, digits),
      asked === undefined ? NONE : bound(asked.better, asked.value, asked.value < 1 ? 1 : 0),
      asked === undefined || all === undefined ? NONE : met(all.median, asked),
    ];
  });
  return table(['', 'median', 'spread', 'asked for', 'reached'], lines);
}

function met(value: number, asked: { readonly better: 'more' | 'less'; readonly value: number }): string {
  return verdict(value, asked.better, asked.value, undefined) === 'floor' ? 'yes' : 'no';
}
