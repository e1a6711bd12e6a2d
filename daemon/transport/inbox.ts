/**
 * The receiving end of a transport: bytes go to the one who wants them, or wait while nobody does. The end of the
 * transport is told once, after all that arrived before it.
 */
import type { Timers } from '../../protocol/clock.js';

export class Inbox {
  private held: Uint8Array[] = [];
  private onBytes: ((chunk: Uint8Array) => void) | undefined;
  private onEnd: ((why: string) => void) | undefined;
  private paused = false;
  private settling = false;
  private ended: string | undefined;
  private told = false;

  /** @param flow starts and stops the reading; what it still brings after a stop is held here */
  constructor(
    private readonly timers: Timers,
    private readonly flow: (on: boolean) => void,
  ) {}

  get isEnded(): boolean {
    return this.ended !== undefined;
  }

  /** From the transport: bytes have arrived. @param chunk copied if it is held */
  push(chunk: Uint8Array): void {
    if (this.isEnded) return;
    if (this.onBytes !== undefined && !this.paused && this.held.length === 0) this.onBytes(chunk);
    else this.held.push(chunk.slice());
  }

  /** From the transport: nothing more will arrive. The first reason counts. */
  end(why: string): void {
    if (this.isEnded) return;
    this.ended = why;
    this.wake();
  }

  /** What is held, and what arrives from now on, is of no use any more. */
  discard(): void {
    this.held = [];
    this.onBytes = () => undefined;
    this.paused = false;
    this.flow(true);
  }

  onData(callback: ((chunk: Uint8Array) => void) | undefined): void {
    this.onBytes = callback;
    this.wake();
  }

  onClose(callback: (why: string) => void): void {
    this.onEnd = callback;
    this.wake();
  }

  pause(): void {
    this.paused = true;
    this.flow(false);
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  /** Delivers at the end of this turn: who sets a callback or closes is not called back in the middle of its own work. */
  private wake(): void {
    this.flow(this.onBytes !== undefined && !this.paused);
    if (this.settling) return;
    this.settling = true;
    this.timers.soon(() => {
      this.settling = false;
      this.settle();
    });
  }

  private settle(): void {
    while (this.held.length > 0 && this.onBytes !== undefined && !this.paused) this.onBytes(this.held.shift()!);
    if (this.ended === undefined || this.told || this.held.length > 0 || this.onEnd === undefined) return;
    this.told = true;
    this.onEnd(this.ended);
  }
}
