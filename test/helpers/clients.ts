/** Real clients that hold one connection for long, and judge at its end that nothing was lost on it. */
import { spawn, type ChildProcess } from 'node:child_process';
import net from 'node:net';
import { join } from 'node:path';
import { run, until, type Host, type Lab } from './hosts.js';
import { startPostgres, startRedis } from './servers.js';
import { assert } from './suite.js';
import { startUnixService } from './traffic.js';

/** Longer than any cut and its healing, ms. */
const ANSWERED_MS = 45_000;
/** psql wants a socket of this name. */
const PG_PORT = 5999;

/** A client under test. */
export interface Client {
  readonly name: string;
  /** Does something over the connection; resolves when the answer to it was seen. `round` counts from 1. */
  beat(round: number): Promise<void>;
  /** Judges the whole run and ends. */
  end(): Promise<void>;
}

/** An exposing and a connecting host. */
export interface Pair {
  readonly a: Host;
  readonly b: Host;
}

/** Connections to the returned target go on to a port of this host, which namespaces do not see. */
export function forwarded(lab: Lab, name: string, port: number): Promise<string> {
  return startUnixService(lab, name, socket => {
    const onward = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
}

/** Exposes on host-a; on host-b the tunnel's unix socket has the given file name. */
export async function unixTunnel(
  lab: Lab,
  { a, b }: Pair,
  service: string,
  target: string,
  file: string,
): Promise<string> {
  await a.ok(['expose', service, target]);
  const path = join(lab.folder, file);
  await b.connect(service, `unix:${path}`);
  await known({ a, b }, service);
  return path;
}

export function known({ b }: Pair, service: string): Promise<unknown> {
  return until(`${service} is known`, async () => {
    const { services } = await b.json<{ services: { name: string; instances: unknown[] }[] }>(['services']);
    return services.some(s => s.name === service && s.instances.length > 0);
  });
}

/** A program spoken to by its standard input and output. */
export class Talk {
  output = '';
  private readonly child: ChildProcess;

  constructor(lab: Lab, program: string, args: readonly string[]) {
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

/** A redis server beside host-a, and a client at host-b that is to get every message that is published, in order. */
export async function redisSubscriber(lab: Lab, pair: Pair): Promise<Client> {
  const port = await startRedis(lab);
  const path = await unixTunnel(lab, pair, 'cache', await forwarded(lab, 'redis', port), 'redis-tunnel.sock');
  const talk = new Talk(lab, 'redis-cli', ['-s', path, 'SUBSCRIBE', 'news']);
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

/** A PostgreSQL server beside host-a, and psql at host-b in one transaction with one backend until its end. */
export async function psqlTransaction(lab: Lab, pair: Pair): Promise<Client> {
  const { port, socketFolder, user } = await startPostgres(lab);
  await unixTunnel(lab, pair, 'db', `unix:${socketFolder}/.s.PGSQL.${port}`, `.s.PGSQL.${PG_PORT}`);
  const direct = async (sql: string): Promise<string> => {
    const args = ['-h', socketFolder, '-p', String(port), '-U', user, '-d', 'postgres', '-Atqc', sql];
    return (await run('psql', args)).stdout.trim();
  };
  await direct('create table counter (n int); insert into counter values (0)');
  const where = ['-h', lab.folder, '-p', String(PG_PORT), '-U', user, '-d', 'postgres'];
  const talk = new Talk(lab, 'psql', [...where, '-XAtq']);
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
