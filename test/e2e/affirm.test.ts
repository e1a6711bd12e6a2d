/**
 * The keys of an admin are stolen: what the thief signs with them, backdated or not, ends with the owner's rotation, and
 * the members that the owner stands by notice nothing of it.
 */
import { cpSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RotateReply } from '../../protocol/admin/contract.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { InviteBook } from '../../protocol/identity/invite-book.js';
import { issueGrant } from '../../protocol/identity/issue.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { TrustStore } from '../../protocol/identity/trust-store.js';
import { openHome } from '../../daemon/home/home.js';
import { loadKeys } from '../../daemon/home/keyfile.js';
import { StateFiles } from '../../daemon/home/statefile.js';
import { NodeTimers } from '../../daemon/transport/timers.js';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { assert, full, suite } from '../helpers/suite.js';
import { echo, exchange, startService } from '../helpers/traffic.js';

const test = suite('the moment of an affirmation');
const lab = new Lab();
test.after(() => lab.close());

const CLIENTS = full(8, 20);
/** Requests go on for so long behind the rotation: longer than anybody is in doubt, ms. */
const BEHIND_MS = full(2_500, 10_000);
/** A thief dates his grants back by so much, ms. */
const BACKDATED_MS = 3_600_000;

/** Clients that make a connection for every request and never rest. */
class FreshClients {
  answers = 0;
  readonly failures: string[] = [];
  private isOver = false;
  private readonly clients: readonly Promise<void>[];

  constructor(
    private readonly address: string,
    count: number,
  ) {
    this.clients = Array.from({ length: count }, (_, i) => this.ask(i));
  }

  private async ask(client: number): Promise<void> {
    for (let n = 0; !this.isOver; n++) {
      const wanted = `client ${client} request ${n}`;
      const got = await exchange(this.address, wanted).catch((error: unknown) => String(error));
      if (got === wanted) this.answers++;
      else this.failures.push(got);
    }
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.clients);
  }
}

/** A copy of an admin's home, and what a thief makes of it. */
class Thief {
  readonly copy: string;

  constructor(admin: Host) {
    this.copy = join(lab.folder, 'stolen');
    cpSync(admin.home, this.copy, { recursive: true, filter: file => !lstatSync(file).isSocket() });
  }

  /** A host of the thief's own with a grant that he has signed with the stolen key, of an hour ago. */
  async host(name: string): Promise<Host> {
    const host = lab.host(name);
    await host.up();
    await host.ok(['down']);
    const primitives = await loadPrimitives();
    const [stolen, own] = [openHome(this.copy), openHome(host.home)];
    const [admin, node] = [loadKeys(stolen.nodeKeys)!, loadKeys(own.nodeKeys)!];
    const { networkId, secrets } = new StateFiles(stolen).loadNetwork()!;
    const log: TrustItem[] = node.statements.map(bytes => ({ kind: 'statement', bytes }));
    const items = [...new StateFiles(stolen).loadTrust(networkId), ...log];
    const store = new TrustStore({ primitives, clock: new NodeTimers(), networkId });
    store.restore(items);
    const signer = { node: admin.nodeId, seq: admin.statements.length - 1, seed: admin.signingSeed };
    const pen = { primitives, signer, now: Date.now() - BACKDATED_MS };
    const grant = issueGrant(store, pen, { node: node.nodeId, name });
    const files = new StateFiles(own);
    files.saveTrust(networkId, [...items, grant]);
    files.saveNetwork({ networkId, secrets, invites: new InviteBook().exportState() });
    await host.up();
    return host;
  }
}

async function knows(host: Host, name: string): Promise<boolean> {
  return (await host.status()).peers.some(peer => peer.name === name);
}

test(
  'an admin gives stolen keys up: members that it stands by go on without an error, the thief’s are out',
  async () => {
    const [a, b] = await lab.pair();
    const c = lab.host('host-c');
    await c.up(['--join', await a.ok(['invite', '--tag', 'client'])]);
    await connected(c, 'host-b');
    await b.ok(['expose', 'fresh', String(await startService(lab, echo)), '--allow', 'tag:client']);
    const listen = await c.connect('fresh');
    await until('fresh is there', async () => (await exchange(listen, 'x').catch(() => '')) === 'x');

    const thief = new Thief(a);
    await thief.host('early');
    await until('the thief’s member is let in', () => knows(b, 'early'));
    await until('... everywhere', () => knows(c, 'early'));
    const clients = new FreshClients(listen, CLIENTS);
    await until('requests run', () => clients.answers > CLIENTS);
    const { notAffirmed } = await a.json<RotateReply>(['keys', 'rotate', '--reason', 'compromised']);
    const answersBefore = clients.answers;
    await sleep(BEHIND_MS);
    await clients.stop();
    assert.equal(clients.failures, []);
    assert.ok(clients.answers > answersBefore + CLIENTS, `${clients.answers} answers`);
    assert.equal(notAffirmed, ['early']);
    for (const host of [a, b, c])
      await until(`${host.name} is rid of the thief's member`, async () => !(await knows(host, 'early')));
    assert.not.match(b.log(), /session-down.*host-c/);
    assert.not.match(c.log(), /session-down.*host-b/);

    const late = await thief.host('late');
    await until('the thief has tried', () => /link-refused|link-limited/.test(b.log() + c.log()));
    await until('he is told why', async () => (await late.status()).peers.every(peer => peer.state !== 'connected'));
    for (const host of [a, b, c]) assert.not(await knows(host, 'late'));
    await connected(c, 'host-a');
    assert.is(await exchange(listen, 'and on'), 'and on');
    console.log(`note: ${clients.answers} connections of ${CLIENTS} clients, none failed`);
  },
  { deadline: full(120_000, 180_000) },
);

test.run();
