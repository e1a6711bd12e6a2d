/** Medians and spreads of a few rounds. */

/** @param values not empty */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @returns undefined when there are no values */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** One value per round; undefined where a round failed. */
export type Rounds = readonly (number | undefined)[];

export function present(rounds: Rounds): number[] {
  return rounds.filter(value => value !== undefined);
}

/** a / b round by round, since what disturbs the machine disturbs both in the same round. */
export function ratio(a: Rounds, b: Rounds): Spread | undefined {
  return spread(
    a.flatMap((value, round) => {
      const other = b[round];
      return value === undefined || other === undefined || other === 0 ? [] : [value / other];
    }),
  );
}
