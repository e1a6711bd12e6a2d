/** Listeners and dials over loopback between nodes that share a network secret, for the tests of this room. */
import net from 'node:net';
import type { Established, PskKeys } from '../../../protocol/handshake/types.js';
import { dial, type DialOptions } from '../../../daemon/transport/dial.js';
import type { GuardLimits } from '../../../daemon/transport/guard.js';
import { listen, type Listener } from '../../../daemon/transport/listener.js';
import { NodeTimers } from '../../../daemon/transport/timers.js';
import type { NewLink, Transport } from '../../../daemon/transport/transport.js';
import type { Log, LogCall } from '../../../daemon/observe/log.js';
import { serve, type TestServer } from '../../helpers/sockets.js';
import { keysOf, makeNode, type TestNode } from '../../protocol/handshake/nodes.js';

export interface Line {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly msg: string;
}

export interface Station {
  readonly node: TestNode;
  readonly timers: NodeTimers;
  readonly listener: Listener;
  /** HOST:PORT of the first address */
  readonly address: string;
  readonly port: number;
  readonly lines: Line[];
  readonly accepted: NewLink[];
  /** the next link that is accepted, or one that nobody has taken yet */
  link(): Promise<NewLink>;
  close(): Promise<void>;
}

export interface StationOptions {
  readonly addresses?: readonly string[];
  readonly psks?: readonly PskKeys[];
  readonly limits?: Partial<GuardLimits>;
  readonly node?: TestNode;
  readonly onLink?: () => void;
}

export const NETWORK_KEYS = keysOf();
export const timers = new NodeTimers();

export function memoryLog(lines: Line[]): Log {
  const call: LogCall = (event, fields, msg) => void lines.push({ event, fields, msg });
  const log: Log = { debug: call, info: call, warn: call, error: call, child: () => log };
  return log;
}

export async function station(options: StationOptions = {}): Promise<Station> {
  const node = options.node ?? makeNode(`station ${Math.random()}`);
  const lines: Line[] = [];
  const accepted: NewLink[] = [];
  const untaken: NewLink[] = [];
  const waiting: ((link: NewLink) => void)[] = [];
  const listener = await listen({
    addresses: options.addresses ?? ['127.0.0.1:0'],
    context: node.ctx,
    psks: () => options.psks ?? [NETWORK_KEYS],
    replay: node.replay,
    timers,
    limits: { total: 64, perSource: 64, deadlineMs: 5_000, ...options.limits },
    log: memoryLog(lines),
    onLink: link => {
      options.onLink?.();
      accepted.push(link);
      const taker = waiting.shift();
      if (taker === undefined) untaken.push(link);
      else taker(link);
    },
  });
  const address = listener.bound[0] ?? '';
  return {
    node,
    timers,
    listener,
    address,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    lines,
    accepted,
    link: () => {
      const link = untaken.shift();
      return link === undefined ? new Promise(resolve => waiting.push(resolve)) : Promise.resolve(link);
    },
    close: async () => {
      for (const link of accepted) link.transport.abort();
      await listener.close();
    },
  };
}

let callers = 0;

/** Dials as a node of the same network. */
export function call(address: string, more: Partial<DialOptions> = {}): Promise<NewLink> {
  const node = makeNode(`caller ${callers++}`);
  return dial({
    address,
    context: node.ctx,
    psk: NETWORK_KEYS,
    suite: 'ChaChaPoly',
    timers,
    log: memoryLog([]),
    ...more,
  });
}

/** Collects what a transport brings. */
export class Sink {
  bytes = 0;
  readonly chunks: Uint8Array[] = [];
  closed: string | undefined;
  private wake: () => void = () => undefined;

  constructor(readonly transport: Transport) {
    transport.onData(chunk => {
      this.bytes += chunk.length;
      this.chunks.push(chunk.slice());
      this.wake();
    });
    transport.onClose(why => {
      this.closed = why;
      this.wake();
    });
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => (this.wake = resolve));
  }

  async upTo(bytes: number): Promise<Buffer> {
    await this.until(() => this.bytes >= bytes || this.closed !== undefined);
    return Buffer.concat(this.chunks);
  }
}

/** Both ends of one handshake agree. */
export function sameKeys(a: Established, b: Established): boolean {
  const same = (x: Uint8Array, y: Uint8Array): boolean => Buffer.compare(x, y) === 0;
  return same(a.sendKey, b.receiveKey) && same(a.receiveKey, b.sendKey) && same(a.handshakeHash, b.handshakeHash);
}

/** A relay that forwards what comes from the dialing side in pieces of at most `piece` bytes, one per turn. */
export async function splitter(port: number, piece: number): Promise<TestServer> {
  return serve(incoming => {
    const outgoing = net.connect({ port, host: '127.0.0.1', noDelay: true });
    outgoing.on('error', () => incoming.destroy());
    outgoing.pipe(incoming);
    incoming.on('close', () => outgoing.destroy());
    let tail = Promise.resolve();
    incoming.on('data', (chunk: Buffer) => {
      tail = tail.then(async () => {
        for (let at = 0; at < chunk.length; at += piece) {
          outgoing.write(chunk.subarray(at, at + piece));
          await new Promise(resolve => setImmediate(resolve));
        }
      });
    });
    incoming.on('end', () => void tail.then(() => outgoing.end()));
  });
}
