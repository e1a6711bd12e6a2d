/** Bulk through a tunnel in both directions at once, counted as it arrives. */
import { tunnelOver, type Cable } from './cuts.js';
import type { Lab } from './hosts.js';
import { assert } from './suite.js';
import { dial, readAll, sendBytes, startUnixService } from './traffic.js';

/** Counts bytes and tells when the next ones come. */
export class Meter {
  bytes = 0;
  isDone = false;
  private waiting: ((at: number) => void)[] = [];

  add(bytes: number): void {
    this.bytes += bytes;
    this.tell();
  }

  /** Nothing more will come. */
  done(): void {
    this.isDone = true;
    this.tell();
  }

  /** performance.now() when something came, from now on; at once when all is done. */
  next(): Promise<number> {
    if (this.isDone) return Promise.resolve(performance.now());
    return new Promise(resolve => this.waiting.push(resolve));
  }

  private tell(): void {
    if (this.waiting.length === 0) return;
    const at = performance.now();
    for (const resolve of this.waiting.splice(0)) resolve(at);
  }
}

export interface BothWays {
  /** what has arrived at host-a, and at host-b */
  readonly up: Meter;
  readonly down: Meter;
  /** Rejects unless all came, each byte as it was sent. */
  readonly arrived: Promise<void>;
}

/** Sends `total` random bytes each way over one stream. */
export async function bothWays(lab: Lab, cable: Pick<Cable, 'a' | 'b'>, total: number): Promise<BothWays> {
  const [up, down] = [new Meter(), new Meter()];
  const served: Promise<[string, { sha256: string }]>[] = [];
  const service = await startUnixService(lab, 'bulk', socket => {
    socket.on('data', (chunk: Buffer) => up.add(chunk.length));
    served.push(Promise.all([sendBytes(socket, total), readAll(socket).finally(() => up.done())]));
  });
  const socket = await dial(await tunnelOver(lab, cable, 'bulk', service));
  socket.on('data', (chunk: Buffer) => down.add(chunk.length));
  const moving = Promise.all([sendBytes(socket, total), readAll(socket).finally(() => down.done())]);
  const judge = async (): Promise<void> => {
    const [sent, received] = await moving;
    const [theirSent, theirReceived] = await served[0]!;
    assert.is(received.sha256, theirSent, 'what host-a sent is what came');
    assert.is(theirReceived.sha256, sent, 'what host-b sent is what came');
  };
  return { up, down, arrived: judge() };
}
