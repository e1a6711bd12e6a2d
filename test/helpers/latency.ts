/** Clients of an echo service that measure how long each answer takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type net from 'node:net';
import { dial } from './traffic.js';

/** The value below which the share `p` of the values lies. @param values not empty */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]!;
}

/** Median, 99th percentile and worst, for a note. */
export function summary(values: readonly number[]): string {
  const [p50, p99, most] = [quantile(values, 0.5), quantile(values, 0.99), Math.max(...values)];
  return `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, worst ${most.toFixed(1)} ms`;
}

/** One connection on which requests are answered one after the other. */
export class EchoClient {
  private got = 0;
  private onNews: () => void = () => undefined;

  private constructor(private readonly socket: net.Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.got += chunk.length;
      this.onNews();
    });
    socket.on('close', () => this.onNews());
  }

  static async open(address: string): Promise<EchoClient> {
    return new EchoClient(await dial(address));
  }

  /** Sends `bytes` bytes and waits until as many have come back. @returns ms. @throws Error when the connection ends */
  async request(bytes = 200): Promise<number> {
    const started = performance.now();
    const wanted = this.got + bytes;
    this.socket.write(Buffer.alloc(bytes, 1));
    while (this.got < wanted) {
      if (this.socket.destroyed) throw new Error('the connection ended before its answer');
      await new Promise<void>(resolve => (this.onNews = resolve));
    }
    return performance.now() - started;
  }

  /** `count` requests with a pause behind each. @returns ms of each */
  async requests(count: number, pauseMs: number): Promise<number[]> {
    const out: number[] = [];
    for (let i = 0; i < count; i++) {
      out.push(await this.request());
      await sleep(pauseMs);
    }
    return out;
  }

  close(): void {
    this.socket.destroy();
  }
}
