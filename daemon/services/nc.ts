/**
 * A stream for one connection that is already there: what `warren nc` speaks over the admin socket. The stream is
 * answered first, so that a refusal can still be told as an error; then the connection is joined to it.
 */
import type { Duplex } from 'node:stream';
import type { Timer, Timers } from '../../protocol/clock.js';
import type { StreamEnd } from '../../protocol/admin/contract.js';
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import { compacted } from '../../protocol/session/send-buffer.js';
import type { Log } from '../observe/log.js';
import { Attempts, ERROR_CODE } from './attempts.js';
import { Balancer } from './balancer.js';
import { codeHint, codeWords } from './code-words.js';
import { CARRIER_WAIT_MS, ENDS_KEPT } from './limits.js';
import type { Answerer } from './local-stream.js';
import { METADATA_SOURCE, type Mesh, type ServiceStream, type StreamHandler } from './mesh.js';
import { checkServiceName } from './names.js';
import type { SocketCount } from './sockets.js';
import { Splice } from './splice.js';

export interface ConnectionsOptions {
  readonly mesh: Mesh;
  readonly local: Answerer;
  readonly timers: Timers;
  readonly log: Log;
  readonly sockets: SocketCount;
}

/** Takes the connection over: it is read from now on, its errors are handled. */
export type Carrier = ((socket: Duplex) => void) & {
  /** by which its end can be asked for */
  readonly id: number;
};

type End = Pick<StreamEnd, 'ended' | 'error'>;

export class Connections {
  private readonly balancer = new Balancer();
  private readonly open = new Set<Splice>();
  private readonly waiting = new Set<Answered>();
  private readonly ends = new Map<number, End>();
  private lastId = 0;
  private onIdle: (() => void)[] = [];

  constructor(private readonly options: ConnectionsOptions) {}

  get openStreams(): number {
    return this.open.size + this.waiting.size;
  }

  /**
   * Opens a stream to an instance of the service.
   * @param signal aborts when whoever asked has gone
   * @returns once the service's target took the connection: what joins a socket to the stream, within CARRIER_WAIT_MS
   * @throws WarrenError `not-found`, `denied`, `unreachable`, `timeout` or `limit`
   */
  async connect(service: string, signal?: AbortSignal): Promise<Carrier> {
    checkServiceName(service);
    const metadata = new Map([[METADATA_SOURCE, 'nc']]);
    const attempts = new Attempts(
      { ...this.options, balancer: this.balancer },
      { service, class: 'interactive', metadata },
    );
    const answered = await this.ask(attempts, signal);
    this.waiting.add(answered);
    const id = ++this.lastId;
    this.keepEnd(id, { ended: false, error: null });
    return Object.assign((socket: Duplex) => this.carry(id, service, answered, socket), { id });
  }

  private ask(attempts: Attempts, signal: AbortSignal | undefined): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const tryNext = (): void => {
        const asked = new Answered(this.options.timers, {
          opened: () => {
            signal?.removeEventListener('abort', asked.abandon);
            resolve(asked);
          },
          refused: (code, dialed) => {
            signal?.removeEventListener('abort', asked.abandon);
            if (attempts.refused(code, dialed)) tryNext();
            else reject(attempts.failure());
          },
          gone: () => this.settle(asked),
        });
        const stream = attempts.next(asked);
        if (stream === undefined) {
          reject(attempts.failure());
          return;
        }
        asked.stream = stream;
        signal?.addEventListener('abort', asked.abandon, { once: true });
        if (signal?.aborted === true) asked.abandon();
      };
      tryNext();
    });
  }

  private carry(id: number, service: string, answered: Answered, socket: Duplex): void {
    if (socket.destroyed) {
      answered.give('caller-gone');
      return;
    }
    this.options.sockets.track(socket);
    const splice = new Splice({
      socket,
      broken: () => ({ code: 'caller-gone', dialed: true }),
      done: ({ ending, code: wire, bytesSent, bytesReceived }) => {
        this.open.delete(splice);
        // Its end passed on, it has got everything, whatever came after.
        const isWhole = ending === 'closed' || ending === 'socket' || socket.writableEnded;
        this.keepEnd(id, { ended: true, error: isWhole ? null : broke(service, wire) });
        const fields = { service, ending, wire, bytesSent, bytesReceived };
        this.options.log.debug('nc-ended', fields, 'A connection of nc ended.');
        this.idle();
      },
    });
    this.open.add(splice);
    this.waiting.delete(answered);
    answered.handOver(splice);
  }

  private keepEnd(id: number, end: End): void {
    this.ends.set(id, end);
    const [oldest] = this.ends.keys();
    if (this.ends.size > ENDS_KEPT && oldest !== undefined) this.ends.delete(oldest);
  }

  /**
   * How a connection ended, for whoever cannot see it: a unix socket knows no reset.
   * @throws WarrenError `not-found` when there was none of that number, or too many since
   */
  end(id: number): End {
    const end = this.ends.get(id);
    if (end !== undefined) return end;
    throw new WarrenError('not-found', `there is no stream ${id}`, { hint: 'ask as soon as it has ended' });
  }

  private settle(answered: Answered): void {
    this.waiting.delete(answered);
    this.idle();
  }

  private idle(): void {
    if (this.openStreams === 0) for (const idle of this.onIdle.splice(0)) idle();
  }

  /** Resolves when the last connection has ended. */
  drain(): Promise<void> {
    if (this.openStreams === 0) return Promise.resolve();
    return new Promise(resolve => this.onIdle.push(resolve));
  }

  /** Ends every connection. @returns how many */
  cut(code: Code): number {
    const ended = this.openStreams;
    for (const splice of [...this.open]) splice.cut(code);
    for (const answered of [...this.waiting]) answered.give(code);
    return ended;
  }
}

function broke(service: string, code: Code): NonNullable<StreamEnd['error']> {
  const message = `the connection to ${service} broke: ${codeWords(code)}`;
  return { code: ERROR_CODE.get(code) ?? 'unreachable', message, hint: codeHint(code) };
}

interface AnsweredEvents {
  readonly opened: () => void;
  readonly refused: (code: Code, dialed: boolean) => void;
  /** ended between its answer and the connection */
  readonly gone: () => void;
}

/**
 * A stream that waits for its connection, then passes on what it hears. What comes meanwhile is kept: as much as the
 * credit given at the start.
 */
class Answered implements StreamHandler {
  stream: ServiceStream | undefined;
  private splice: Splice | undefined;
  private isOpened = false;
  private kept: Uint8Array[] = [];
  private finished = false;
  private endedBy: { readonly code: Code; readonly dialed: boolean } | undefined;
  private deadline: Timer | undefined;

  constructor(
    private readonly timers: Timers,
    private readonly events: AnsweredEvents,
  ) {}

  opened(): void {
    if (this.isOpened) return;
    this.isOpened = true;
    this.deadline = this.timers.after(CARRIER_WAIT_MS, () => this.give('caller-gone'));
    this.events.opened();
  }

  data(chunk: Uint8Array): void {
    this.opened();
    if (this.splice !== undefined) this.splice.data(chunk);
    else this.kept.push(compacted(chunk));
  }

  fin(): void {
    this.opened();
    this.finished = true;
    this.splice?.fin();
  }

  drain(): void {
    this.splice?.drain();
  }

  reset(code: Code, dialed: boolean): void {
    this.deadline?.cancel();
    this.endedBy = { code, dialed };
    this.kept = [];
    if (this.splice !== undefined) this.splice.reset(code, dialed);
    else if (this.isOpened) this.events.gone();
    else this.events.refused(code, dialed);
  }

  /** Whoever asked has gone before the answer. */
  readonly abandon = (): void => this.give('caller-gone');

  /** Ends the stream while it waits. */
  give(code: Code): void {
    if (this.endedBy !== undefined || this.splice !== undefined) return;
    this.stream?.reset(code, true);
    this.reset(code, true);
  }

  handOver(splice: Splice): void {
    this.deadline?.cancel();
    if (this.endedBy !== undefined) {
      splice.reset(this.endedBy.code, this.endedBy.dialed);
      return;
    }
    if (this.stream === undefined) return;
    this.splice = splice;
    splice.attach(this.stream);
    for (const chunk of this.kept.splice(0)) splice.data(chunk);
    if (this.finished) splice.fin();
  }
}
