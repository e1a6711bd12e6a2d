/** Commands about keys and membership that cannot be done: one sentence, a hint, the exit code, and nothing has changed. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, type Host } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('bad input about keys');
const lab = new Lab();
let founder: Host;
let member: Host;

test.before(async () => {
  [founder, member] = await lab.pair();
});
test.after(() => lab.close());

/** What must not change. */
function state(host: Host): string {
  const files = ['keys/node.json', 'keys/network.json', 'config.yaml'].map(file => readFileSync(join(host.home, file)));
  return files.map(bytes => createHash('sha256').update(bytes).digest('hex')).join(' ');
}

interface Case {
  readonly what: string;
  readonly on: () => Host;
  readonly args: readonly string[];
  readonly status: number;
  readonly says: RegExp;
}

const onFounder = (): Host => founder;
const onMember = (): Host => member;

const CASES: readonly Case[] = [
  {
    what: 'a revocation of oneself',
    on: onFounder,
    args: ['keys', 'revoke', 'host-a'],
    status: 1,
    says: /cannot revoke itself/,
  },
  {
    what: 'a revocation by a member',
    on: onMember,
    args: ['keys', 'revoke', 'host-a'],
    status: 4,
    says: /only an admin/i,
  },
  { what: 'a revocation of nobody', on: onFounder, args: ['keys', 'revoke', 'host-z'], status: 1, says: /host-z/ },
  {
    what: 'a promotion by a member',
    on: onMember,
    args: ['peer', 'promote', 'host-b'],
    status: 4,
    says: /only an admin/i,
  },
  {
    what: 'a promotion of who is an admin',
    on: onFounder,
    args: ['peer', 'promote', 'host-a'],
    status: 1,
    says: /is an admin already/,
  },
  {
    what: 'a demotion of who is no admin',
    on: onFounder,
    args: ['peer', 'demote', 'host-b'],
    status: 1,
    says: /is no admin/,
  },
  {
    what: 'a demotion of the founder',
    on: onFounder,
    args: ['peer', 'demote', 'host-a'],
    status: 4,
    says: /the founder cannot be demoted/,
  },
  {
    what: 'an unknown reason',
    on: onMember,
    args: ['keys', 'rotate', '--reason', 'boredom'],
    status: 1,
    says: /boredom/,
  },
  { what: 'an unknown --affirm', on: onMember, args: ['keys', 'rotate', '--affirm', 'some'], status: 1, says: /some/ },
  {
    what: 'a network secret by a member',
    on: onMember,
    args: ['keys', 'rotate', '--network-secret'],
    status: 4,
    says: /only an admin/i,
  },
  {
    what: 'a settlement without a fork',
    on: onFounder,
    args: ['keys', 'settle', 'host-b', '00112233'],
    status: 1,
    says: /has no open fork/,
  },
  {
    what: 'a settlement with no hash',
    on: onFounder,
    args: ['keys', 'settle', 'host-b', 'left'],
    status: 1,
    says: /hash/,
  },
  {
    what: 'a settlement by a member',
    on: onMember,
    args: ['keys', 'settle', 'host-a', '00112233'],
    status: 4,
    says: /only an admin/i,
  },
  { what: 'an invite for nobody', on: onFounder, args: ['invite', '--for', 'host-z'], status: 1, says: /host-z/ },
];

for (const { what, on, args, status, says } of CASES) {
  test(`${what}: exit ${status}`, async () => {
    const before = [state(founder), state(member)];
    const result = await on().warren(args);
    assert.equal([result.status, result.stdout], [status, '']);
    assert.match(result.stderr, says);
    assert.match(result.stderr, /^warren: .+\nhint: .+\n$/, 'one sentence and one hint');
    assert.equal([state(founder), state(member)], before);
  });
}

test('an invite made for one node is refused by another before it is dialed, and by the inviter', async () => {
  const token = await founder.ok(['invite', '--for', 'host-b']);
  const stranger = lab.host('host-s');
  await stranger.up();
  const before = state(stranger);
  const result = await stranger.warren(['join', token]);
  assert.equal([result.status, result.stdout], [1, '']);
  assert.match(result.stderr, /made for another node/);
  assert.is(state(stranger), before);
});

test('an admin cannot be demoted by one that it stands above', async () => {
  await founder.ok(['peer', 'promote', 'host-b']);
  const result = await member.warren(['peer', 'demote', 'host-a']);
  assert.equal([result.status, result.stdout], [4, '']);
  await founder.ok(['peer', 'demote', 'host-b']);
});

test.run();
