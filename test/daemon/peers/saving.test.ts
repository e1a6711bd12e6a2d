/** What a node learns is written when it has to be, and not more often than that. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_KEPT_STATEMENTS } from '../../../protocol/identity/log-book.js';
import { MAX_SHELF_BYTES } from '../../../protocol/identity/shelves.js';
import { MAX_ITEMS, MAX_STATE_FILE } from '../../../daemon/home/statefile.js';
import { issueGrant, issueRevocation } from '../../../protocol/identity/issue.js';
import { MAX_STATEMENT_BYTES, createInception, type NewKeys } from '../../../protocol/identity/statement.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { toBase64url } from '../../../protocol/bytes.js';
import { assert, seed, suite } from '../../helpers/suite.js';
import { Members } from '../keys/members.js';
import type { MemoryNode } from './memory-node.js';

const test = suite('what is kept');
const primitives = await loadPrimitives();

/** The file of what is trusted: each write is another one in its place. */
class TrustFile {
  constructor(private readonly node: MemoryNode) {}

  private get path(): string {
    const folder = join(this.node.root, 'state');
    return join(
      folder,
      readdirSync(folder).find(name => name.startsWith('trust-'))!,
    );
  }

  get version(): string {
    const { ino, mtimeMs } = statSync(this.path);
    return `${ino} ${mtimeMs}`;
  }

  holds({ bytes }: TrustItem): boolean {
    return readFileSync(this.path, 'utf8').includes(toBase64url(bytes));
  }
}

interface Scene {
  readonly members: Members;
  readonly a: MemoryNode;
  readonly b: MemoryNode;
  readonly file: TrustFile;
  readonly pen: Parameters<typeof issueGrant>[1];
}

async function scene(label: string): Promise<Scene> {
  const members = await Members.make(`${seed()} ${label}`, ['a', 'b']);
  const [a, b] = ['a', 'b'].map(name => members.get(name)) as [MemoryNode, MemoryNode];
  await members.run(5_000);
  const { pen } = a.network.authority as unknown as Pick<Scene, 'pen'>;
  return { members, a, b, file: new TrustFile(b), pen };
}

function stranger(members: Members): NewKeys {
  return createInception(primitives, { now: members.timers.now() });
}

const statement = (keys: NewKeys): TrustItem => ({ kind: 'statement', bytes: keys.statement });

test('grants of another admin are written together, within a moment; a revocation and a statement at the end of the turn', async () => {
  const { members, a, b, file, pen } = await scene('grants');
  const before = file.version;
  const versions = new Set<string>();
  const nodes = Array.from({ length: 50 }, () => stranger(members).nodeId);
  const grants = nodes.map((node, i) => issueGrant(a.network.trust, pen, { node, name: `m${i}` }));
  for (const grant of grants) {
    b.network.learn([grant], a.network.nodeId);
    members.timers.run(2);
    versions.add(file.version);
  }
  assert.equal([...versions], [before]);
  members.timers.run(500);
  assert.ok(grants.every(grant => file.holds(grant)));
  a.network.learn(grants, undefined);
  const revocation = issueRevocation(a.network.trust, pen, nodes[0]!);
  b.network.learn([revocation], a.network.nodeId);
  members.timers.run(0);
  assert.ok(file.holds(revocation));
  const made = a.keyring.make({ reason: 'routine', time: members.timers.now() });
  b.network.learn([statement(made)], a.network.nodeId);
  members.timers.run(0);
  assert.ok(file.holds(statement(made)));
  members.stop();
});

test('the key log of somebody whom nobody vouches for is not written, until an admin does', async () => {
  const { members, a, b, file, pen } = await scene('strangers');
  const before = file.version;
  const many = Array.from({ length: 20 }, () => stranger(members));
  for (const keys of many) b.network.learn([statement(keys)], keys.nodeId);
  members.timers.run(2_000);
  assert.is(file.version, before);
  const [guest] = many as [NewKeys];
  const grant = issueGrant(a.network.trust, pen, { node: guest.nodeId, name: 'guest' });
  b.network.learn([grant], a.network.nodeId);
  members.timers.run(2_000);
  assert.ok(file.holds(grant));
  assert.ok(file.holds(statement(guest)));
  members.stop();
});

test('a member whose key log is not here yet is no peer', async () => {
  const { members, a, b, pen } = await scene('unknown logs');
  const { nodeId } = stranger(members);
  b.network.learn([issueGrant(a.network.trust, pen, { node: nodeId, name: 'late' })], a.network.nodeId);
  members.timers.run(2_000);
  assert.is(b.peers.all().length, 1);
  assert.is(b.network.trust.members().length, 3);
  members.stop();
});

test('a member without a key log here is affirmed like any other', async () => {
  const { members, a, pen } = await scene('affirmed');
  const [here, elsewhere] = [stranger(members).nodeId, stranger(members).nodeId];
  const { options } = a.network.authority as unknown as { options: { keep(items: readonly TrustItem[]): void } };
  options.keep([issueGrant(a.network.trust, pen, { node: here, name: 'here' })]);
  a.network.learn([issueGrant(a.network.trust, pen, { node: elsewhere, name: 'elsewhere' })], undefined);
  const { notAffirmed } = await a.rotations.rotate({ reason: 'compromised' });
  assert.equal(notAffirmed, [elsewhere]);
  assert.is(a.network.trust.grantOf(here)?.name, 'here');
  members.stop();
});

test('all that a trust store keeps at most can be read again', () => {
  const bytes = MAX_KEPT_STATEMENTS * MAX_STATEMENT_BYTES + Object.values(MAX_SHELF_BYTES).reduce((a, b) => a + b);
  // An item as it stands in the file, but for its bytes.
  const frame = JSON.stringify([{ kind: 'network-secret', bytes: '', here: true }], undefined, 4).length;
  assert.ok((bytes * 4) / 3 + MAX_ITEMS * frame < MAX_STATE_FILE);
});

test.run();
