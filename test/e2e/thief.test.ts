/** A thief with a node's whole home, but not the memory of its process, runs it elsewhere while the owner runs. */
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { join } from 'node:path';
import { homePaths } from '../../daemon/home/paths.js';
import { StateFiles } from '../../daemon/home/statefile.js';
import { Lab, until, type Host } from '../helpers/hosts.js';
import { dial, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('a thief of a home');
const labs: Lab[] = [];

test.after(async () => {
  for (const lab of labs) await lab.close();
});

/** Every byte of the live stream is one of these; nothing else says them. */
const MARK = 'only-for-the-owner';
/** Rounds on the live stream while the thief tries, and the pause between them, ms. */
const ROUNDS = 80;
const PAUSE_MS = 50;
/** Probing takes up to 5 s of virtual time; real runs get five times that. */
const ALARM_MS = 25_000;

/** A connection on which a request goes round, again and again. */
class Rounds {
  private readonly answers: string[] = [];
  private isBroken = false;

  constructor(private readonly socket: net.Socket) {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
        this.answers.push(text.slice(0, at));
        text = text.slice(at + 1);
      }
    });
    socket.on('close', () => (this.isBroken = true));
  }

  async go(rounds: number): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      const before = this.answers.length;
      this.socket.write(`${MARK} ${before}\n`);
      await until('the answer', () => this.isBroken || this.answers.length > before);
      assert.ok(!this.isBroken, 'the stream broke');
      assert.is(this.answers.at(-1), `${MARK} ${before}`);
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** The same identity, another process: what the thief exposes and listens to is his own. */
function steal(lab: Lab, owner: Host, trap: number): Host {
  const thief = lab.host('thief');
  // What the running process holds (sockets, locks, its pid) is no part of what can be copied and used.
  const isStored = (path: string): boolean => {
    const stats = statSync(path);
    return stats.isDirectory() || (stats.isFile() && !/warren\.(pid|log)$/.test(path));
  };
  cpSync(owner.home, thief.home, { recursive: true, filter: isStored });
  const config = join(thief.home, 'config.yaml');
  writeFileSync(config, readFileSync(config, 'utf8').replace(/target: \S+/, `target: 127.0.0.1:${trap}`));
  return thief;
}

/** The host has written down where its peer can be reached: a thief has nobody else to ask. */
async function hasWritten(host: Host, peer: Host): Promise<boolean> {
  const [address] = (await peer.status()).listen;
  const files = new StateFiles(homePaths(host.home));
  const items = files.loadTrust(files.loadNetwork()!.networkId);
  return items.some(({ kind, bytes }) => kind === 'registry' && Buffer.from(bytes).includes(address!));
}

async function warned(host: Host): Promise<boolean> {
  return (await host.status()).warnings.some(w => /two hosts run as/.test(w));
}

for (const [stolen, words] of [
  ['host-a', 'the node that exposes'],
  ['host-b', 'the node that calls'],
] as const) {
  test(
    `the home of ${words}: the owner's stream goes on, the thief gets no byte of it, the peer raises the alarm`,
    async () => {
      const lab = new Lab();
      labs.push(lab);
      const [a, b] = await lab.pair();
      const [owner, peer] = stolen === 'host-a' ? [a, b] : [b, a];
      await a.ok(['expose', 'echo', String(await startService(lab, socket => void socket.pipe(socket)))]);
      const rounds = new Rounds(await dial(await b.connect('echo')));
      await rounds.go(3);
      const trapped: string[] = [];
      const trap = await startService(lab, socket => {
        socket.on('data', (chunk: Buffer) => trapped.push(chunk.toString()));
      });
      await until('the address of the peer is in the home', () => hasWritten(owner, peer));
      const thief = steal(lab, owner, trap);
      const before = await peer.status();
      await thief.up();
      const going = rounds.go(ROUNDS);
      await until('the peer raises the alarm', () => warned(peer), ALARM_MS);
      await going;
      const after = await peer.status();
      assert.is(trapped.join('').includes(MARK), false, 'the thief got bytes of the stream');
      assert.is((await thief.diagnostics()).streams, 0);
      assert.is(after.peers.find(p => p.name === owner.name)?.state, 'connected');
      assert.is(before.peers.length, after.peers.length);
      assert.match((await peer.warren(['doctor'])).stdout, /two hosts run as/);
      assert.match(peer.log(), /two hosts run as/);
      if (stolen === 'host-a') await ownerDies(owner, thief, trapped);
    },
    { deadline: 150_000 },
  );
}

/** With the owner gone the thief is the node, for new streams; what was under way on the old one is not given to him. */
async function ownerDies(owner: Host, thief: Host, trapped: readonly string[]): Promise<void> {
  await owner.kill();
  await until(
    'the thief is let in',
    async () => (await thief.status()).peers.some(p => p.state === 'connected'),
    60_000,
  );
  await new Promise(resolve => setTimeout(resolve, 1_000));
  assert.is(trapped.join('').includes(MARK), false, 'the thief got bytes of the stream');
}

test.run();
