/**
 * kill -9 at every change that a real daemon makes to its files while keys change: before each one, behind the last, and with
 * half of a write written. Whenever it dies, the next start has a usable identity, which peers and clients of its service
 * find again; and the keys can be rotated on.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { PATHS, type DoctorReply, type KeysReply, type Status } from '../../protocol/admin/contract.js';
import { alive, Lab, until, type Host, type Run } from '../helpers/hosts.js';
import { Killing, pointsOf, type Point } from '../helpers/killing.js';
import { pick, seededRandom } from '../helpers/random.js';
import { assert, full, suite } from '../helpers/suite.js';
import { echo, exchange, startService } from '../helpers/traffic.js';

const test = suite('kill -9 while keys change');
const lab = new Lab();
const isSmall = full(0, 10) === 0;
/** The founder, whose daemon can be killed, and a member that sees it all. */
let a: Host;
let b: Host;
let pass: string;

test.before(async () => {
  pass = join(lab.folder, 'pass');
  fs.writeFileSync(pass, 'in a safe\n', { mode: 0o600 });
  [a, b] = [lab.host('host-a'), lab.host('host-b')];
  await a.up([], killing(a).env);
  await b.up(['--join', await a.ok(['invite'])]);
  await expose(a);
});
test.after(() => lab.close());

/** One for each host, so that no other one dies, or is counted. */
const killings = new Map<Host, Killing>();

function killing(host: Host): Killing {
  const its = killings.get(host) ?? new Killing(join(lab.folder, `kill-${host.name}`));
  killings.set(host, its);
  return its;
}

/** A host's service, as b reaches it. */
const doors = new Map<Host, string>();
let port = 0;

async function expose(host: Host): Promise<void> {
  port ||= await startService(lab, echo);
  await host.ok(['expose', `of-${host.name}`, String(port)]);
  if (!doors.has(host)) doors.set(host, await b.connect(`of-${host.name}`));
}

function serves(host: Host): Promise<unknown> {
  const door = doors.get(host)!;
  return until(`${host.name} serves`, async () => (await exchange(door, host.name)) === host.name, 60_000);
}

let members = 0;

/** A member with a service, whose daemon can be killed. */
async function member(flags: readonly string[] = []): Promise<Host> {
  const host = lab.host(`host-${++members}`);
  await host.up(['--join', await a.ok(['invite']), ...flags], killing(host).env);
  await expose(host);
  return host;
}

const up = (host: Host, ...flags: readonly string[]): Promise<string> =>
  host.ok(['up', '--detach', ...flags], { deadline: 60_000, env: killing(host).env });

interface Known {
  readonly id: string;
  readonly seq: number;
}

/** What each host was when it was last looked at. */
const known = new Map<Host, Known>();

/** The daemon that runs is the node that it was; b has its newest statement; nobody sees anything wrong. */
async function isWhole(host: Host): Promise<Known> {
  const { node, seq } = await host.get<KeysReply>(PATHS.keys);
  assert.is(node.id, known.get(host)?.id ?? node.id, 'the same node');
  known.set(host, { id: node.id, seq });
  const follows = async (): Promise<boolean> =>
    (await b.get<Status>(PATHS.status)).peers.some(p => p.id === node.id && p.state === 'connected' && p.seq === seq);
  await until(`b follows ${host.name} to statement ${seq}`, follows, 60_000);
  await serves(host);
  for (const one of [host, b]) {
    const { checks } = await one.get<DoctorReply>(PATHS.doctor);
    const bad = checks.filter(({ state }) => state === 'problem').map(({ message }) => message);
    assert.equal(bad, [], `doctor of ${one.name}`);
  }
  return { id: node.id, seq };
}

/** Ends a daemon without a word; returns when it is gone. */
async function gone(host: Host): Promise<void> {
  const file = join(host.home, 'warren.pid');
  const pid = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8').trim().split(/\s/)[0]) : 0;
  if (pid === 0) return;
  if (alive(pid)) process.kill(pid, 'SIGKILL');
  await until(`${host.name} is gone`, () => !alive(pid));
}

interface Story {
  /** among those of which `npm test` tries one death each */
  readonly always?: true;
  /** so many changes are made at least, else this test does not see them */
  readonly least: number;
  /** statements that the work adds, when it is done */
  readonly adds: 0 | 1;
  /** @returns the host as it is before, with its daemon running or not */
  begin(): Promise<Host>;
  /** what is interrupted */
  work(host: Host): Promise<Run>;
  /** after the death: the daemon runs again, whatever that takes */
  recover(host: Host): Promise<unknown>;
  /** behind all that is checked */
  end(host: Host): Promise<unknown>;
}

function killedIn(name: string, story: Story): void {
  if (isSmall && story.always !== true) return;
  const one = async (point: Point | undefined): Promise<readonly string[]> => {
    const host = await story.begin();
    const before = known.get(host)?.seq;
    killing(host).arm(point ?? { at: Infinity, half: false });
    const { status, stderr } = await story.work(host);
    await killing(host).quiet();
    const { changes, killed } = killing(host).disarm();
    if (!killed) assert.is(status, 0, stderr);
    try {
      await gone(host);
      await story.recover(host);
      const { seq } = await isWhole(host);
      const added = seq - (before ?? 0);
      assert.ok(status === 0 ? added === story.adds : added === 0 || added === story.adds, `${added} more statements`);
      if (!isSmall) await story.end(host);
    } catch (error) {
      const where = `${killed ? 'killed' : 'not killed'} ${point?.half === true ? 'in' : 'at'} ${changes.join(', ')}`;
      throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return changes;
  };
  const random = seededRandom(`kill -9 ${name}`);
  const body = async (): Promise<void> => {
    // All there is shows when nothing dies; a single death can do without.
    const changes = isSmall ? Array.from({ length: story.least }, () => 'write') : await one(undefined);
    assert.ok(changes.length >= story.least, `${changes.length} changes: ${changes.join(', ')}`);
    const points = pointsOf(changes);
    const count = full(1, points.length);
    const sample =
      count >= points.length ? points : Array.from({ length: count }, () => points[pick(random, points.length)]!);
    for (const point of sample) await one(point);
    console.log(`${name}: killed at ${sample.length} points, ${changes.length} changes`);
  };
  test(name, body, { deadline: 1_800_000 });
}

const rotate = (host: Host, ...flags: readonly string[]): Promise<Run> =>
  host.warren(['keys', 'rotate', ...flags], { deadline: 60_000 });

/** Life goes on: the keys are rotated once more, and everybody follows. */
async function goesOn(host: Host, ...flags: readonly string[]): Promise<void> {
  const { seq } = known.get(host)!;
  const { status, stderr } = await rotate(host, ...flags);
  assert.is(status, 0, stderr);
  assert.is((await isWhole(host)).seq, seq + 1);
}

const restore = (host: Host, file: string): Promise<Run> =>
  host.warren(['keys', 'restore', file, '--passphrase-file', pass], { deadline: 60_000, env: killing(host).env });

/** Its home is lost, and its daemon with it. */
async function lose(host: Host): Promise<void> {
  await gone(host);
  fs.rmSync(host.home, { recursive: true, force: true });
}

/** A restore that had not begun is begun again; one that had is finished by the start. */
async function restored(host: Host, file: string, ...flags: readonly string[]): Promise<void> {
  const has = (name: string): boolean => fs.existsSync(join(host.home, 'keys', name));
  if (!has('node.json') && !has('restore.json')) {
    const { status, stderr } = await restore(host, file);
    assert.is(status, 0, stderr);
  }
  await up(host, ...flags);
}

/** A host of which there is one, made when it is first asked for. */
function once(make: () => Promise<Host>): () => Promise<Host> {
  let host: Promise<Host> | undefined;
  return () => (host ??= make());
}

killedIn('a rotation at an admin', {
  always: true,
  least: 8,
  adds: 1,
  begin: () => Promise.resolve(a),
  work: host => rotate(host),
  recover: host => up(host),
  end: host => goesOn(host),
});

const nextFile = (name: string): string => join(lab.folder, `${name}.next`);
const withFile = (name: string): string[] => ['--next-key', nextFile(name), '--passphrase-file', pass];

killedIn('keys detach-next', {
  least: 15,
  adds: 1,
  begin: () => member(),
  work: host =>
    host.warren(['keys', 'detach-next', nextFile(host.name), '--passphrase-file', pass], { deadline: 60_000 }),
  recover: host => up(host),
  async end(host) {
    await goesOn(host, ...withFile(host.name));
    await host.ok(['down']);
  },
});

const keeper = once(async () => {
  const name = `host-${members + 1}`;
  const host = await member(['--next-key', nextFile(name), '--next-passphrase-file', pass]);
  known.set(host, await isWhole(host));
  return host;
});

killedIn('a rotation with the next key in a file', {
  least: 20,
  adds: 1,
  begin: keeper,
  work: host => rotate(host, ...withFile(host.name)),
  recover: host => up(host),
  end: () => Promise.resolve(),
});

killedIn('keys restore from a next-key file', {
  least: 30,
  adds: 1,
  async begin() {
    const host = await keeper();
    await lose(host);
    return host;
  },
  work: host => restore(host, nextFile(host.name)),
  async recover(host) {
    await restored(host, nextFile(host.name), '--listen', '127.0.0.1:0', '--no-mdns');
    // Such a file knows nothing of the config.
    await expose(host);
  },
  end: host => goesOn(host, ...withFile(host.name)),
});

const backupFile = join(lab.folder, 'backup');

const saved = once(async () => {
  const host = await member();
  await isWhole(host);
  await host.ok(['keys', 'backup', backupFile, '--passphrase-file', pass], { deadline: 60_000 });
  return host;
});

killedIn('keys restore from a backup', {
  always: true,
  least: 30,
  adds: 0,
  async begin() {
    const host = await saved();
    await lose(host);
    return host;
  },
  work: host => restore(host, backupFile),
  recover: host => restored(host, backupFile),
  async end(host) {
    await goesOn(host);
    fs.rmSync(backupFile);
    await host.ok(['keys', 'backup', backupFile, '--passphrase-file', pass], { deadline: 60_000 });
  },
});

/** A home without a passphrase, as it lies there while no daemon runs. */
const open = once(async () => {
  const host = await member();
  await isWhole(host);
  await host.ok(['down']);
  fs.cpSync(host.home, `${host.home}.open`, { recursive: true, filter: file => !fs.lstatSync(file).isSocket() });
  return host;
});

killedIn('a home that gets a passphrase', {
  least: 15,
  adds: 0,
  async begin() {
    const host = await open();
    await lose(host);
    fs.cpSync(`${host.home}.open`, host.home, { recursive: true });
    return host;
  },
  work: host =>
    host.warren(['up', '--detach', '--passphrase-file', pass], { deadline: 60_000, env: killing(host).env }),
  async recover(host) {
    await up(host, '--passphrase-file', pass);
    for (const name of ['node.json', 'network.json'])
      assert.match(fs.readFileSync(join(host.home, 'keys', name), 'utf8'), /"kind": "passphrase"/);
  },
  end: () => Promise.resolve(),
});

test.run();
