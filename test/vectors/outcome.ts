/** What running a file of vectors gave. */
export interface Outcome {
  readonly passed: number;
  /** One line for each failure. */
  readonly failures: readonly string[];
}

/** Runs one case after the other; a case fails by throwing. */
export function runCases<T>(cases: readonly T[], label: (item: T) => string, check: (item: T) => void): Outcome {
  let passed = 0;
  const failures: string[] = [];
  for (const item of cases) {
    try {
      check(item);
      passed++;
    } catch (error) {
      failures.push(`${label(item)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { passed, failures };
}
