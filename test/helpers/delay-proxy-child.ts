/**
 * The process behind delay-proxy.ts: `node delay-proxy-child.js DELAY_MS BYTES_PER_MS TARGET_PORT...`. One listener for each
 * target; what goes one way through any of them shares one token bucket and arrives DELAY_MS after it has left that. Prints
 * its ports, separated by blanks, as one line.
 */
import { once } from 'node:events';
import net from 'node:net';

/** What waits in front of the bottleneck, ms: more, and the sender is not read any more. */
const QUEUE_MS = 10;
/** What a receiver may leave unread before its sender is not read any more. */
const UNREAD_BYTES = 4 * 1024 * 1024;

const [delayMs = 0, bytesPerMs = 0, ...targets] = process.argv.slice(2).map(Number);

/** One direction of the path, shared by all connections. */
class Bottleneck {
  private freeAt = 0;

  /** @returns when the bytes have left the bottleneck, ms */
  pass(bytes: number, now: number): number {
    this.freeAt = Math.max(this.freeAt, now) + bytes / bytesPerMs;
    return this.freeAt;
  }

  /** How long bytes that come now would wait, ms. */
  waits(now: number): number {
    return this.freeAt - now;
  }
}

/** One direction of one connection: bytes, and at last the end, come out in order, later. */
class Pipe {
  private readonly line: { readonly at: number; readonly chunk: Buffer | undefined }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly from: net.Socket,
    private readonly to: net.Socket,
    private readonly bottleneck: Bottleneck,
  ) {
    from.on('data', (chunk: Buffer) => this.take(chunk));
    from.on('end', () => this.put(undefined, performance.now()));
    to.on('drain', () => this.flow());
  }

  private take(chunk: Buffer): void {
    const now = performance.now();
    this.put(chunk, this.bottleneck.pass(chunk.length, now));
    const waits = this.bottleneck.waits(now);
    if (waits <= QUEUE_MS && this.to.writableLength < UNREAD_BYTES) return;
    this.from.pause();
    if (waits > QUEUE_MS) setTimeout(() => this.flow(), waits - QUEUE_MS / 2);
  }

  private flow(): void {
    if (this.to.writableLength < UNREAD_BYTES && this.bottleneck.waits(performance.now()) <= QUEUE_MS) {
      this.from.resume();
    } else if (this.to.writableLength < UNREAD_BYTES) {
      setTimeout(() => this.flow(), 1);
    }
  }

  private put(chunk: Buffer | undefined, leftAt: number): void {
    this.line.push({ at: leftAt + delayMs, chunk });
    this.timer ??= setTimeout(() => this.deliver(), leftAt + delayMs - performance.now());
  }

  private deliver(): void {
    this.timer = undefined;
    const now = performance.now();
    let n = 0;
    for (; n < this.line.length && this.line[n]!.at <= now; n++) {
      const { chunk } = this.line[n]!;
      if (chunk === undefined) this.to.end();
      else this.to.write(chunk);
    }
    this.line.splice(0, n);
    if (this.line.length > 0) this.timer = setTimeout(() => this.deliver(), this.line[0]!.at - now);
  }
}

function serve(target: number, there: Bottleneck, back: Bottleneck): net.Server {
  return net.createServer({ allowHalfOpen: true, noDelay: true }, client => {
    const server = net.connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    new Pipe(client, server, there);
    new Pipe(server, client, back);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  });
}

const [there, back] = [new Bottleneck(), new Bottleneck()];
const ports: number[] = [];
for (const target of targets) {
  const server = serve(target, there, back).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ports.push((server.address() as net.AddressInfo).port);
}
console.log(ports.join(' '));
process.on('disconnect', () => process.exit(0));
