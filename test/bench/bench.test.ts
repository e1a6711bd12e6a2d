/** That the benchmark works: figures of every kind, a report, what is missing named, nothing left behind. Not how fast. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../helpers/root.js';
import { run, until } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';
import { readOptions } from './options.js';
import { median, ratio, spread } from './statistics.js';
import { table } from './table.js';
import { readWrk } from './workloads/http.js';

const BENCH = join(packageRoot(), 'dist', 'test', 'bench', 'main.js');
const TOOLS = ['nginx', 'wrk', 'iperf3', 'openssl', 'ssh', 'sshd', 'haproxy', 'stunnel4'];
const TINY = ['--rounds', '1', '--seconds', '1'];

const test = suite('the benchmark');
const folder = mkdtempSync(join(tmpdir(), 'warren-bench-test-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Processes whose command line or environment names this folder. */
function processesOf(place: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(name => {
      try {
        return ['cmdline', 'environ'].some(file => readFileSync(`/proc/${name}/${file}`, 'latin1').includes(place));
      } catch {
        return false;
      }
    });
}

/** A temporary folder of its own, so that what belongs to this run can be told from what others do. */
function ownTemporary(name: string): string {
  return mkdtempSync(join(folder, `${name}-`));
}

test('medians and ratios are taken round by round', () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
  assert.is(spread([]), undefined);
  assert.equal(ratio([10, 20, undefined, 30], [5, 20, 1, 10]), { median: 2, least: 1, most: 3 });
  assert.is(ratio([undefined], [1]), undefined);
});

test("wrk's report is read, units included; failed requests make it worthless", () => {
  const text = `Running 1s test @ http://127.0.0.1:1/small
  Latency Distribution
     50%  310.00us
     75%    1.02ms
     90%    2.00ms
     99%    1.20s 
  1234 requests in 1.00s, 300.00KB read
Requests/sec:   1230.50
Transfer/sec:    300.00KB
`.replace('1.20s ', '1.20s');
  assert.equal(readWrk(text), { requests: 1234, perSecond: 1230.5, p50: 310, p99: 1_200_000 });
  assert.throws(() => readWrk(`${text}  Non-2xx or 3xx responses: 100\n`), /100 of 1234/);
  assert.throws(() => readWrk(`${text}  Socket errors: connect 0, read 90, write 0, timeout 0\n`), /90 of 1234/);
  assert.throws(() => readWrk('unable to connect'), /wrk/);
});

test('options: a part of a run is not a whole one', () => {
  assert.ok(readOptions([]).isWhole);
  for (const args of [['--quick'], ['--only', 'idle'], ['--rounds', '2'], ['--without', 'ssh'], ['--profile', 'x']])
    assert.not.ok(readOptions(args).isWhole, args.join(' '));
  assert.throws(() => readOptions(['--rounds', '0']), /--rounds/);
  assert.throws(() => readOptions(['--fast']));
});

test('tables are padded', () => {
  assert.is(table(['', 'b'], [['one', '12']]), '|     |   b |\n| --- | --: |\n| one |  12 |');
});

test(
  'what cannot be measured is said before anything starts, with the usage and exit code 2',
  async () => {
    const place = ownTemporary('usage');
    const cases: [string[], RegExp][] = [
      [['--only', 'nonsense'], /^no workload is called nonsense; there are bulk-out, /],
      [['--node', '/nonexistent'], /^--node \/nonexistent is no Node that runs: /],
      [['--node', '/bin/false'], /^--node \/bin\/false is no Node that runs: /],
      [['--rounds', '0'], /^--rounds takes a number from 1 to 1000\n/],
    ];
    for (const [args, said] of cases) {
      const { status, stdout, stderr } = await run(process.execPath, [BENCH, ...args], { env: { TMPDIR: place } });
      assert.is(status, 2, `${args.join(' ')}: ${stderr}`);
      assert.is(stdout, '');
      assert.match(
        stderr
          .split('\n')
          .filter(line => !line.startsWith('missing: '))
          .join('\n'),
        said,
      );
      assert.match(stderr, /npm run bench -- /);
    }
    assert.equal(processesOf(place), []);
    assert.equal(readdirSync(place), []);
  },
  { deadline: 60_000, needs: TOOLS },
);

test(
  'one tiny round: figures, a report, what is missing, and nothing left',
  async () => {
    const out = join(folder, 'report.md');
    const place = ownTemporary('run');
    const only = ['--only', 'bulk-in,http-1,limit,start-up,handshakes', '--without', 'stunnel,ssh default'];
    const { status, stdout, stderr } = await run(process.execPath, [BENCH, ...TINY, ...only, '--out', out], {
      env: { TMPDIR: place },
      deadline: 150_000,
    });
    assert.is(status, 0, stderr);
    const report = readFileSync(out, 'utf8');
    assert.is(stdout.trim(), report.trim());
    assert.match(
      report,
      'Missing: ssh default (left out), stunnel (left out). No row that is held against the peers counts.',
    );
    assert.match(report, 'does not count');
    assert.match(report, '--without stunnel,ssh default --out FILE`');
    for (const name of ['no tunnel', 'warren tcp', 'warren ws', 'ssh aes256-gcm', 'haproxy']) {
      const rows = report.split('\n').filter(line => line.startsWith(`| ${name} `));
      assert.is(rows.length, 4, `${name} has a line in each of four tables`);
      for (const row of rows) assert.match(row.split('|')[2]!, /[1-9]/, row);
    }
    assert.match(report, /\| warren tcp +\| +[\d,]+ \| +[\d,–]+ \| +[\d.]+ \/GB \|/);
    assert.match(report, /\| … in the kernel: reading and writing sockets +\| +(?!0\.00)[\d.]+ s\/GB \|/);
    assert.match(report, /\| … sealing and opening [^|]*\| +(?!0\.00)[\d.]+ s\/GB \|/);
    assert.match(report, /\| `warren status`: CPU +\| +[1-9]\d* ms \|/);
    assert.match(report, /\| handshakes with members never seen before +\| +[1-9][\d,]* per second of CPU \|/);
    assert.match(report, `| Node | ${process.version}`);
    assert.equal(processesOf(place), []);
    assert.equal(readdirSync(place), []);
  },
  { deadline: 180_000, needs: TOOLS },
);

test(
  'a benchmark that is killed leaves nothing either',
  async () => {
    const place = ownTemporary('killed');
    const child = spawn(process.execPath, [BENCH, ...TINY, '--only', 'idle', '--without', 'ssh,stunnel,haproxy'], {
      env: { ...process.env, TMPDIR: place },
      stdio: 'ignore',
    });
    const daemons = (): string[] =>
      readdirSync(place, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('warren.pid'));
    await until('two daemons run', () => daemons().length === 2, 60_000);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await until('everything is gone', () => processesOf(place).length === 0 && readdirSync(place).length === 0);
  },
  { deadline: 120_000, needs: TOOLS },
);

test(
  'so does one that is ended while it brings the systems up',
  async () => {
    const place = ownTemporary('ended');
    const child = spawn(process.execPath, [BENCH, ...TINY, '--only', 'bulk-out'], {
      env: { ...process.env, TMPDIR: place },
      stdio: 'ignore',
    });
    const homes = (): string[] =>
      readdirSync(place, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('config.yaml'));
    await until('the first daemon is being started', () => homes().length > 0, 60_000);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    assert.equal(await ended, [143, null]);
    await until('everything is gone', () => processesOf(place).length === 0 && readdirSync(place).length === 0);
    await sleep(2_000);
    assert.equal([processesOf(place), readdirSync(place)], [[], []]);
  },
  { deadline: 120_000, needs: TOOLS },
);

test.run();
