/** Real clients that hold one connection for long stay connected while the links under them are cut again and again. */
import { spawn, type ChildProcess } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { WebSocket, WebSocketServer } from 'ws';
import { Dice } from '../protocol/session/virtual.js';
import { Cutter, cablePair, lateOnes, told, type Cable, type Healing } from '../helpers/cuts.js';
import { CLI, Lab, run, until } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { startPostgres, startRedis, startSshd } from '../helpers/servers.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { startUnixService } from '../helpers/traffic.js';

const test = suite('long-lived connections');
const lab = new Lab();
const CUTS = full(3, 20);
const LONGEST_SILENCE_MS = full(2_000, 10_000);
/** Longer than any cut and its healing: what is later than that is judged by `lateOnes`. */
const ANSWERED_MS = 45_000;
/** The WebSocket server sends this often of its own accord, ms. */
const TICK_MS = 50;
/** psql wants a socket of this name. */
const PG_PORT = 5999;

/** A client under test. */
interface Client {
  readonly name: string;
  /** Does something over the connection; resolves when the answer to it was seen. `round` counts from 1. */
  beat(round: number): Promise<void>;
  /** Judges the whole run and ends. */
  end(): Promise<void>;
}

test.after(() => lab.close());

// What the clients have in common.

/** Connections to the returned target go on to a port of this host, which namespaces do not see. */
function forwarded(name: string, port: number): Promise<string> {
  return startUnixService(lab, name, socket => {
    const onward = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
}

/** Exposes on host-a; on host-b the tunnel's unix socket has the given file name. */
async function tunnel({ a, b }: Cable, service: string, target: string, file: string): Promise<string> {
  await a.ok(['expose', service, target]);
  const path = join(lab.folder, file);
  await b.connect(service, `unix:${path}`);
  await known({ a, b }, service);
  return path;
}

function known({ b }: Pick<Cable, 'a' | 'b'>, service: string): Promise<unknown> {
  return until(`${service} is known`, async () => {
    const { services } = await b.json<{ services: { name: string; instances: unknown[] }[] }>(['services']);
    return services.some(s => s.name === service && s.instances.length > 0);
  });
}

/** A program spoken to by its standard input and output. */
class Talk {
  output = '';
  private readonly child: ChildProcess;

  constructor(program: string, args: readonly string[]) {
    this.child = lab.keep(spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
    this.child.stdin!.on('error', () => undefined);
  }

  say(line: string): void {
    this.child.stdin!.write(`${line}\n`);
  }

  /** The first match in all that the program has said. */
  heard(pattern: RegExp): Promise<RegExpExecArray> {
    return until(
      `${pattern}`,
      () => {
        if (this.child.exitCode !== null) throw new Error(`the program has ended: ${this.output}`);
        return pattern.exec(this.output) ?? undefined;
      },
      ANSWERED_MS,
    );
  }
}

// The clients.

async function redisSubscriber(cable: Cable): Promise<Client> {
  const port = await startRedis(lab);
  const path = await tunnel(cable, 'cache', await forwarded('redis', port), 'redis-tunnel.sock');
  const talk = new Talk('redis-cli', ['-s', path, 'SUBSCRIBE', 'news']);
  await talk.heard(/subscribe\nnews\n1\n/);
  const direct = async (...args: string[]): Promise<string> =>
    (await run('redis-cli', ['-p', String(port), ...args])).stdout;
  const connection = async (): Promise<string | undefined> =>
    /id=(\d+) .*cmd=subscribe/.exec(await direct('CLIENT', 'LIST'))?.[1];
  const before = await connection();
  assert.ok(before, 'the server knows its subscriber');
  const published: string[] = [];
  const publish = async (text: string): Promise<void> => {
    published.push(text);
    assert.is((await direct('PUBLISH', 'news', text)).trim(), '1', 'one subscriber');
  };
  return {
    name: 'redis SUBSCRIBE',
    async beat(round) {
      for (let i = 0; i < 10; i++) await publish(`message-${round}-${i}`);
      await talk.heard(new RegExp(`message-${round}-9\n`));
    },
    async end() {
      assert.is(await connection(), before, 'still the connection of the beginning');
      const lines = talk.output.split('\n');
      assert.equal(
        lines.filter(line => line.startsWith('message-')),
        published,
      );
    },
  };
}

async function psqlTransaction(cable: Cable): Promise<Client> {
  const { port, socketFolder, user } = await startPostgres(lab);
  await tunnel(cable, 'db', `unix:${socketFolder}/.s.PGSQL.${port}`, `.s.PGSQL.${PG_PORT}`);
  const direct = async (sql: string): Promise<string> => {
    const args = ['-h', socketFolder, '-p', String(port), '-U', user, '-d', 'postgres', '-Atqc', sql];
    return (await run('psql', args)).stdout.trim();
  };
  await direct('create table counter (n int); insert into counter values (0)');
  const where = ['-h', lab.folder, '-p', String(PG_PORT), '-U', user, '-d', 'postgres'];
  const talk = new Talk('psql', [...where, '-XAtq']);
  const backend = "select 'backend ' || pg_backend_pid();";
  talk.say(`begin; ${backend}`);
  const [, pid] = await talk.heard(/backend (\d+)\n/);
  let rounds = 0;
  return {
    name: 'psql in a transaction',
    async beat(round) {
      rounds = round;
      talk.say("update counter set n = n + 1 returning 'counted ' || n;");
      await talk.heard(new RegExp(`counted ${round}\n`));
    },
    async end() {
      assert.is(await direct('select n from counter'), '0', 'nobody else sees it before the commit');
      talk.say(`commit; select 'committed'; ${backend}`);
      await talk.heard(/committed\n/);
      assert.is((await talk.heard(/committed\nbackend (\d+)\n/))[1], pid);
      assert.is(await direct('select n from counter'), String(rounds));
    },
  };
}

async function sshShell(cable: Cable): Promise<Client> {
  const { port, keyFile, user } = await startSshd(lab);
  await cable.a.ok(['expose', 'shell', await forwarded('sshd', port)]);
  await known(cable, 'shell');
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  options.push(`ProxyCommand=${process.execPath} ${CLI} --home ${cable.b.home} nc shell`);
  const talk = new Talk('ssh', ['-tt', '-i', keyFile, ...options.flatMap(o => ['-o', o]), `${user}@host-a`]);
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
  const socket = new WebSocket(`ws+unix:${await tunnel(cable, 'ws', `unix:${path}`, 'ws-tunnel.sock')}:/`);
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
      await redisSubscriber(cable),
      await psqlTransaction(cable),
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
