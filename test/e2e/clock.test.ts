/** A host whose clock is wrong by a day: both sides say so, the wrong one most of all, and nothing else comes of it. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DoctorCheck, DoctorReply } from '../../protocol/admin/contract.js';
import { connected, Lab, packageRoot, until, type Host } from '../helpers/hosts.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('a clock that is wrong by a day');
const lab = new Lab();
const deadline = 240_000;
const DAY_MS = 86_400_000;
let a: Host;
let b: Host;

test.before(async () => {
  [a, b] = await lab.pair();
});
test.after(() => lab.close());

function shifted(ms: number): NodeJS.ProcessEnv {
  const preload = pathToFileURL(join(packageRoot(), 'dist', 'test', 'helpers', 'shift-clock.js')).href;
  return {
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${preload}`,
    WARREN_CLOCK_SHIFT_MS: String(ms),
  };
}

/** Keys and what is known of the network, as they lie on the disk. */
function state(host: Host): string {
  return ['keys', 'state']
    .map(folder => join(host.home, folder))
    .flatMap(folder => readdirSync(folder).map(name => join(folder, name)))
    .filter(file => /node\.json|network\.json/.test(file))
    .map(file => createHash('sha256').update(readFileSync(file)).digest('hex'))
    .join(' ');
}

const clockOf = async (host: Host): Promise<DoctorCheck> =>
  (await host.json<DoctorReply>(['doctor'])).checks.find(({ name }) => name === 'clock')!;

const AHEAD = [DAY_MS, 'ahead of', 'behind'] as const;
const BEHIND = [-DAY_MS, 'behind', 'ahead of'] as const;

for (const [ms, side, other] of full([AHEAD], [AHEAD, BEHIND])) {
  test(
    `a member that comes back a day ${side === 'behind' ? 'behind' : 'ahead'}`,
    async () => {
      await b.ok(['down']);
      const before = state(b);
      await b.ok(['up', '--detach'], { deadline: 60_000, env: shifted(ms) });
      const probably = /ended the handshake at the first message: the clocks of the two hosts are probably/;
      for (const [host, peer] of [
        [b, 'host-a'],
        [a, 'host-b'],
      ] as const) {
        await until(
          `${host.name} says why ${peer} is away`,
          async () => probably.test((await host.status()).peers.find(p => p.name === peer)?.problem ?? ''),
          60_000,
        );
        assert.match(await host.ok(['peers']), /the clocks of the two hosts/);
      }
      await until('the log of a', () => a.log().includes(`its clock is 1 day ${side} that of this host`), 60_000);
      const wrong = await until('doctor at b', async () => {
        const check = await clockOf(b);
        return check.state === 'problem' && check;
      });
      // Before what its own files say there is no need of anybody else.
      const own = 'the clock says .* but files of the home are from 1 day later$';
      const others = `the clock is 1 day ${side} those of hosts of this network, which are turned away$`;
      assert.match(wrong.message, new RegExp(`^(${side === 'behind' ? own : others})`));
      assert.match(wrong.hint!, /set the clock, best by NTP/);
      const right = await until('doctor at a', async () => {
        const check = await clockOf(a);
        return check.state === 'problem' && check;
      });
      assert.match(right.message, new RegExp(`^the clock is 1 day ${other} those of hosts of this network`));
      await b.ok(['down']);
      assert.is(state(b), before, 'keys and network are what they were');
      await b.ok(['up', '--detach'], { deadline: 60_000 });
      await connected(b, 'host-a', 60_000);
      await connected(a, 'host-b', 60_000);
      assert.is((await clockOf(a)).state, 'ok', 'whoever is connected agrees');
    },
    { deadline },
  );
}

test(
  'a join: one sentence that speaks of clocks, and no membership',
  async () => {
    const token = await a.ok(['invite']);
    const says: readonly (readonly [number, RegExp])[] = [
      [DAY_MS, /clocks of the two hosts are probably more than an hour apart\nhint: Compare them/],
      [-DAY_MS, /clocks of the two hosts are probably more than an hour apart\nhint: Compare them/],
      [
        3 * DAY_MS,
        /the invite has expired\nhint: [Aa]sk for a new one: warren invite; or set the clock of this host, which says 20/,
      ],
    ];
    for (const [i, [ms, why]] of full(says.slice(1), says).entries()) {
      const host = lab.host(`late-${i}`);
      const flags = ['up', '--detach', '--no-mdns', '--listen', '127.0.0.1:0', '--join', token];
      const { status, stdout, stderr } = await host.warren(flags, { deadline: 60_000, env: shifted(ms) });
      assert.equal([status, stdout], [1, ''], stderr);
      assert.match(stderr, /^warren: [^\n]+\nhint: [^\n]+\n$/);
      assert.match(stderr, why, stderr);
      assert.not.ok(existsSync(join(host.home, 'admin.sock')));
    }
    const joiner = lab.host('in-time');
    await joiner.up(['--join', token]);
    await connected(joiner, 'host-a', 60_000);
    assert.is((await a.status()).network.members, 3, 'the invite was not used up');
  },
  { deadline },
);

test.run();
