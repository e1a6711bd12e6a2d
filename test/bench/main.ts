/**
 * `npm run bench`: warren beside what its users would pick instead, on real daemons, clients and services. See USAGE in
 * options.ts, and docs/benchmarks.md for what comes out.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../helpers/hosts.js';
import { packageRoot } from '../helpers/root.js';
import { has } from '../helpers/suite.js';
import { Ground } from './ground.js';
import { readOptions, USAGE, UsageError, type BenchOptions } from './options.js';
import { lacks, systems } from './peers/index.js';
import type { System } from './peers/system.js';
import { report, type Result } from './report.js';
import { Field, type Compared } from './runner.js';
import { startServices } from './services.js';
import { workloads } from './workloads/index.js';
import type { Fact, Workload } from './workloads/workload.js';

/** Without these there is nothing to measure with; the Debian packages by the programs in them. */
const TOOLS = { nginx: 'nginx-light', wrk: 'wrk', iperf3: 'iperf3', openssl: 'openssl' };

/** Options whose values are places, and what stands for these. */
const PLACES: Readonly<Record<string, string>> = { '--node': 'PATH', '--out': 'FILE', '--profile': 'DIR' };

const tell = (line: string): void => void process.stderr.write(`${line}\n`);

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function versionOf(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(command, args);
    const line = `${stdout}\n${stderr}`.split('\n').find(text => /\d\.\d/.test(text));
    return line?.trim().split(/ (?:\d+ \w+ 20\d\d|20\d\d|- https|on |\(|\[)/)[0];
  } catch {
    return undefined;
  }
}

async function versions(): Promise<string[]> {
  const asked: [string, string[]][] = [
    ['ssh', ['-V']],
    ['stunnel4', ['-version']],
    ['haproxy', ['-v']],
    ['nginx', ['-v']],
    ['iperf3', ['--version']],
    ['wrk', ['--version']],
  ];
  const found = await Promise.all(asked.map(([command, args]) => versionOf(command, args)));
  return found.filter(version => version !== undefined);
}

function choose(all: readonly Workload[], only: readonly string[]): Workload[] {
  for (const word of only)
    if (!all.some(({ name }) => name.includes(word)))
      throw new UsageError(`no workload is called ${word}; there are ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => only.length === 0 || only.some(word => name.includes(word)));
}

/** Those that can run, and the names of those that cannot, with what to install. */
function present(all: readonly System[], without: readonly string[]): { there: System[]; missing: string[] } {
  const there: System[] = [];
  const missing: string[] = [];
  for (const system of all) {
    const packages = lacks(system);
    if (packages.length > 0) missing.push(`${system.name} (Debian package ${packages.join(', ')})`);
    else if (without.some(word => system.name.includes(word))) missing.push(`${system.name} (left out)`);
    else there.push(system);
  }
  return { there, missing };
}

async function nodeVersion(node: string): Promise<{ major: number; text: string }> {
  const program = '`${process.version} (OpenSSL ${process.versions.openssl})`';
  const { stdout, status, stderr } = await run(node, ['-p', program]).catch((error: unknown) => {
    throw new UsageError(`--node ${node} is no Node that runs: ${reasonOf(error)}`);
  });
  if (status !== 0) throw new UsageError(`--node ${node} is no Node that runs: ${stderr}`);
  return { major: Number(/^v(\d+)/.exec(stdout)?.[1]), text: stdout.trim() };
}

/** Arguments as a report shows them: where things lie on this machine is nobody's business. */
function shown(args: readonly string[]): string[] {
  return args.map((arg, at) => PLACES[args[at - 1] ?? ''] ?? arg.replace(/^(--(?:node|out|profile))=.*$/s, '$1=…'));
}

async function measure(ground: Ground, options: BenchOptions): Promise<Result> {
  const node = await nodeVersion(options.node);
  const { there, missing } = present(systems({ profile: options.profile }), options.without);
  for (const name of missing) tell(`missing: ${name}; no row counts`);
  const chosen = choose(workloads(node.major), options.only);
  const services = await startServices(ground);
  const field = new Field(ground, services, tell);
  const compared: Compared[] = [];
  const facts: { title: string; facts: readonly Fact[] }[] = [];
  for (const workload of chosen) {
    tell(`${workload.name} …`);
    if (workload.kind === 'comparison') {
      if (workload.fresh === true) await field.stopAll(there);
      compared.push(await field.compare(workload, there, options.sizes));
    } else {
      await field.stopAll(there);
      facts.push({ title: workload.title, facts: await workload.run(ground, services, options.sizes, options) });
    }
  }
  await field.stopAll(there);
  return {
    date: new Date().toISOString().slice(0, 10),
    node: node.text,
    versions: await versions(),
    command: ['npm run bench', ...(options.args.length > 0 ? ['--', ...shown(options.args)] : [])].join(' '),
    rounds: options.sizes.rounds,
    seconds: options.sizes.seconds,
    systems: there,
    missing,
    compared,
    facts,
  };
}

async function main(): Promise<void> {
  let options: BenchOptions;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    tell(`${reasonOf(error)}\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const lacking = Object.entries(TOOLS).filter(([program]) => !has(program));
  if (lacking.length > 0 || !existsSync('/proc/self/stat')) {
    tell(
      lacking.length > 0
        ? `install ${lacking.map(([, name]) => name).join(', ')} first`
        : 'this needs Linux, for /proc',
    );
    process.exitCode = 1;
    return;
  }
  const ground = new Ground(options.node);
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const, ['SIGHUP', 129] as const])
    // At once: while this process lives it starts servers. The guardian ends what there is.
    process.once(signal, () => process.exit(code));
  try {
    const result = await measure(ground, options);
    const text = report(result);
    console.log(text);
    const counts = options.isWhole && result.missing.length === 0;
    const out = options.out ?? (counts ? join(packageRoot(), 'docs', 'benchmarks.md') : undefined);
    if (out !== undefined) writeFileSync(out, `${text.trimEnd()}\n`);
    tell(out === undefined ? 'docs/benchmarks.md is written by a full run with all peers only' : `written to ${out}`);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    tell(isUsage ? `${error.message}\n${USAGE}` : `the benchmark failed: ${reasonOf(error)}`);
    process.exitCode = isUsage ? 2 : 1;
  } finally {
    await ground.close();
  }
}

await main();
