/** Real clients that hold one connection for long stay connected while the links under them are cut again and again. */
import http from 'node:http';
import { join } from 'node:path';
import { WebSocket, WebSocketServer } from 'ws';
import { Dice } from '../protocol/session/virtual.js';
import {
  Talk,
  forwarded,
  known,
  psqlTransaction,
  redisSubscriber,
  unixTunnel,
  type Client,
} from '../helpers/clients.js';
import { Cutter, cablePair, lateOnes, told, type Cable, type Healing } from '../helpers/cuts.js';
import { CLI, Lab, until } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { startSshd } from '../helpers/servers.js';
import { assert, full, seed, suite } from '../helpers/suite.js';

const test = suite('long-lived connections');
const lab = new Lab();
const CUTS = full(3, 20);
const LONGEST_SILENCE_MS = full(2_000, 10_000);
/** Longer than any cut and its healing: what is later than that is judged by `lateOnes`. */
const ANSWERED_MS = 45_000;
/** The WebSocket server sends this often of its own accord, ms. */
const TICK_MS = 50;

test.after(() => lab.close());

// The clients.

async function sshShell(cable: Cable): Promise<Client> {
  const { port, keyFile, user } = await startSshd(lab);
  await cable.a.ok(['expose', 'shell', await forwarded(lab, 'sshd', port)]);
  await known(cable, 'shell');
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  options.push(`ProxyCommand=${process.execPath} ${CLI} --home ${cable.b.home} nc shell`);
  const talk = new Talk(lab, 'ssh', ['-tt', '-i', keyFile, ...options.flatMap(o => ['-o', o]), `${user}@host-a`]);
  /** The shell's PID, asked for with a mark that the echo of the question does not carry. */
  const ask = async (mark: number): Promise<string> => {
    talk.say(`echo "mark-$((${mark} + 0)) shell $$."`);
    return (await talk.heard(new RegExp(`mark-${mark} shell (\\d+)\\.`)))[1]!;
  };
  const before = await ask(1000);
  return {
    name: 'ssh shell through nc',
    async beat(round) {
      assert.is(await ask(round), before);
    },
    async end() {
      assert.is(await ask(2000), before);
      talk.say('exit');
    },
  };
}

async function webSocket(cable: Cable): Promise<Client> {
  const path = join(lab.folder, 'ws.sock');
  const server = http.createServer().listen(path);
  const sockets = new WebSocketServer({ server });
  let sent = 0;
  let connections = 0;
  let ticking: NodeJS.Timeout | undefined;
  sockets.on('connection', socket => {
    connections++;
    ticking = setInterval(() => socket.send(`tick-${sent++}`), TICK_MS);
    socket.on('message', data => socket.send(`echo of ${(data as Buffer).toString()}`));
  });
  lab.onClose(() => {
    clearInterval(ticking);
    server.close();
  });
  const socket = new WebSocket(`ws+unix:${await unixTunnel(lab, cable, 'ws', `unix:${path}`, 'ws-tunnel.sock')}:/`);
  const heard: string[] = [];
  let closed: string | undefined;
  socket.on('message', data => heard.push((data as Buffer).toString()));
  socket.on('error', error => (closed = error.message));
  socket.on('close', code => (closed ??= `closed with ${code}`));
  await until('the WebSocket is open', () => socket.readyState === WebSocket.OPEN);
  return {
    name: 'WebSocket',
    async beat(round) {
      socket.send(`beat ${round}`);
      await until(`the echo of beat ${round}`, () => heard.includes(`echo of beat ${round}`), ANSWERED_MS);
    },
    async end() {
      clearInterval(ticking);
      await until('the last tick', () => heard.includes(`tick-${sent - 1}`));
      const ticks = heard.filter(text => text.startsWith('tick-'));
      assert.equal(
        ticks,
        Array.from({ length: sent }, (_, i) => `tick-${i}`),
      );
      assert.is(closed, undefined);
      assert.is(connections, 1);
      socket.close();
    },
  };
}

test(
  `redis SUBSCRIBE, a psql transaction, an ssh shell and a WebSocket live through ${CUTS} cuts`,
  async () => {
    const cable = await cablePair(lab, { subnet: '10.81.0' });
    const clients = [
      await redisSubscriber(lab, cable),
      await psqlTransaction(lab, cable),
      await sshShell(cable),
      await webSocket(cable),
    ];
    const dice = new Dice(seed());
    const cutter = new Cutter(cable, () => dice.between(1_000, LONGEST_SILENCE_MS));
    const healings: Healing[] = [];
    for (let round = 1; round <= CUTS; round++) {
      // What is asked while the path is gone must be answered too.
      const cutting = cutter.next();
      const answered = Promise.all(clients.map(client => client.beat(round)));
      const [cut] = await Promise.all([cutting, answered]);
      healings.push({ cut, ms: Math.max(0, performance.now() - cut.backAt) });
    }
    for (const client of clients) await client.end();
    console.log(`note: ${CUTS} cuts; from path back until every client had its answer: ${told(healings)}`);
    assert.equal(lateOnes(healings), []);
  },
  {
    deadline: full(120_000, 15 * 60_000),
    needs: [...NETNS_NEEDS, 'redis-server', 'redis-cli', 'psql', 'setpriv', 'ssh', 'sshd'],
  },
);

test.run();
