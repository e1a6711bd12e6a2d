/** The report of one run, the same on the terminal and in docs/benchmarks.md. */
import { cpus } from 'node:os';
import type { System } from './peers/system.js';
import type { Compared } from './runner.js';
import { factTable, rowTable, summary } from './table.js';
import type { Fact } from './workloads/workload.js';

export interface Result {
  /** YYYY-MM-DD */
  readonly date: string;
  /** `v20.20.2, OpenSSL 3.0.19` */
  readonly node: string;
  /** versions of what else was running */
  readonly versions: readonly string[];
  readonly command: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly systems: readonly System[];
  /** `stunnel (Debian package stunnel4)` */
  readonly missing: readonly string[];
  readonly compared: readonly Compared[];
  readonly facts: readonly { readonly title: string; readonly facts: readonly Fact[] }[];
}

function head({ date, node, versions, command, rounds, seconds, missing }: Result): string {
  const cores = cpus();
  return `# Benchmarks

Written by \`${command}\`; the same command makes it anew. Clients, both ends of every tunnel and the services share one
machine, over loopback. Systems take turns, ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s each behind one that does not count; figures are medians over the rounds with the least and
the most, ratios are taken round by round. CPU seconds are those of both ends of the tunnel together.

| | |
|---|---|
| date | ${date} |
| CPU | ${cores.length} × ${cores[0]?.model.trim() ?? 'unknown'} |
| Node | ${node} |
| beside it | ${versions.join(', ')} |
${missing.length === 0 ? '' : `\n**Missing: ${missing.join(', ')}. No row that is held against the peers counts.**\n`}`;
}

export function report(result: Result): string {
  const { systems, compared, facts, missing } = result;
  const peers = systems.filter(({ kind }) => kind === 'peer').map(({ name }) => name);
  const parts = [head(result)];
  if (compared.length > 0) parts.push(`## Against the peers\n\n${summary(compared, peers, missing.length === 0)}\n`);
  if (facts.length > 0) {
    parts.push('## Of warren alone\n');
    for (const { title, facts: rows } of facts) parts.push(`### ${title}\n\n${factTable(rows)}\n`);
  }
  if (compared.length > 0) parts.push('## Row by row\n');
  for (const one of compared)
    for (const row of one.workload.rows) parts.push(`### ${row.title}\n\n${rowTable(one, row, systems)}\n`);
  return parts.join('\n');
}
