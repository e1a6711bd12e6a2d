/** The recent lines of the log in memory, for `warren logs`, and a subscription to those that come. */
import type { LogSink } from './log.js';

/** The most lines and characters that are kept. */
export const RING_LINES = 2000;
export const RING_CHARACTERS = 1024 * 1024;

export interface RingLimits {
  readonly lines?: number;
  readonly characters?: number;
}

export class LogRing {
  private lines: string[] = [];
  private characters = 0;
  private readonly followers = new Set<(line: string) => void>();
  private readonly maxLines: number;
  private readonly maxCharacters: number;

  constructor(limits: RingLimits = {}) {
    this.maxLines = limits.lines ?? RING_LINES;
    this.maxCharacters = limits.characters ?? RING_CHARACTERS;
  }

  /** Where the log writes to. */
  readonly sink: LogSink = line => {
    this.lines.push(line);
    this.characters += line.length;
    this.trim();
    for (const follower of [...this.followers]) tell(follower, line);
  };

  /** @returns at most `count` lines, oldest first */
  recent(count: number): readonly string[] {
    return count <= 0 ? [] : this.lines.slice(-count);
  }

  /** @returns stops the calls */
  follow(follower: (line: string) => void): () => void {
    // a function of its own, so that one callback may follow twice and each stop ends one
    const own = (line: string): void => follower(line);
    this.followers.add(own);
    return () => void this.followers.delete(own);
  }

  get followerCount(): number {
    return this.followers.size;
  }

  /** In one cut of a tenth, since a cut per line would copy the whole list each time. */
  private trim(): void {
    if (this.lines.length <= this.maxLines && this.characters <= this.maxCharacters) return;
    let drop = Math.max(1, Math.floor(this.maxLines / 10), this.lines.length - this.maxLines);
    let left = this.characters;
    for (let i = 0; i < drop && i < this.lines.length; i++) left -= this.lines[i]!.length;
    while (left > this.maxCharacters && drop < this.lines.length) left -= this.lines[drop++]!.length;
    this.lines = this.lines.slice(drop);
    this.characters = left;
  }
}

/** One follower that fails must not silence the others. */
function tell(follower: (line: string) => void, line: string): void {
  try {
    follower(line);
  } catch {
    // its own business
  }
}
