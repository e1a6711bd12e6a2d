/** What happened in a life, in order: a hash that tells two lives apart, and the lines themselves if wanted. */
export class Trace {
  readonly lines: string[] = [];
  private low = 0x811c9dc5;
  private high = 0x9e3779b9;

  constructor(
    private readonly isKept: boolean,
    private readonly now: () => number,
  ) {}

  /** @param words what happened, with its numbers */
  note(...words: readonly (string | number)[]): void {
    this.number(Math.round(this.now() * 1000));
    for (const w of words) {
      if (typeof w === 'number') this.number(w);
      else for (let i = 0; i < w.length; i++) this.number(w.charCodeAt(i));
    }
    if (this.isKept) this.lines.push(`${this.now().toFixed(3).padStart(12)} ${words.join(' ')}`);
  }

  /** Goes into the hash only. */
  number(value: number): void {
    this.low = Math.imul(this.low ^ (value | 0), 0x01000193);
    this.high = Math.imul(this.high + (value | 0), 0x85ebca6b) ^ (this.low >>> 15);
  }

  /** 16 hexadecimal digits */
  get hash(): string {
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
    return hex(this.low) + hex(this.high);
  }
}
