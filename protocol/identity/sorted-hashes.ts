/**
 * Hashes in the order of their bytes. From one time to the next few of them come or go, so what was sorted before is kept,
 * and what is new is put in its place.
 */
import { compare } from '../bytes.js';

/** More new ones than this: sorting them all is quicker. */
const FEW = 16;

export class SortedHashes {
  private sorted: Uint8Array[] = [];
  private known: ReadonlySet<Uint8Array> = new Set();

  /**
   * @param hashes none twice; an array that was given before is taken for the same hash
   * @returns all of them, sorted; good until the next call
   */
  of(hashes: readonly Uint8Array[]): readonly Uint8Array[] {
    const { known } = this;
    const now = new Set(hashes);
    const added = hashes.filter(hash => !known.has(hash));
    if (added.length > FEW) this.sorted = [...hashes].sort(compare);
    else {
      if (known.size + added.length > now.size) this.sorted = this.sorted.filter(hash => now.has(hash));
      for (const hash of added) this.sorted.splice(this.placeOf(hash), 0, hash);
    }
    this.known = now;
    return this.sorted;
  }

  private placeOf(hash: Uint8Array): number {
    let [low, high] = [0, this.sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.sorted[middle]!, hash) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
