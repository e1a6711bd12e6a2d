/**
 * Members whose grant or record has lost its standing though nobody has revoked them: a node has given its keys up, or an
 * admin has fallen. What it stands by is signed anew, and may be on its way still, so for a moment such a member is taken
 * for what it was before: by the policy of services, for its name and its record, and by the sessions that it has.
 * Admission and what is told to others go by what stands; a revocation ends the doubt at once, and nothing that comes in
 * meanwhile makes it longer.
 */
import type { Clock } from '../clock.js';
import type { Grant } from './grant.js';
import type { NodeIdText } from './node-id.js';
import type { RegistryRecord } from './registry-record.js';

/** A member is in doubt for so long at most, ms. */
export const DOUBT_MS = 2_000;

/** What a member was before. */
export interface Standing {
  readonly grant: Grant;
  readonly record: RegistryRecord | undefined;
}

interface Doubt extends Standing {
  /** ms, monotonic */
  readonly until: number;
}

export class Doubts {
  private readonly doubts = new Map<NodeIdText, Doubt>();
  private before: ReadonlyMap<NodeIdText, Standing> = new Map();
  /** ms, monotonic */
  private since = 0;
  /** ms, monotonic: when the first of the doubts ends */
  private nextEnd = Infinity;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /** Something has changed that may cost members their standing. @param before whoever is a member up to now */
  begin(before: ReadonlyMap<NodeIdText, Standing>): void {
    this.before = before;
    this.since = this.clock.monotonic();
  }

  /**
   * What stands has been worked out anew.
   * @param isDoubtful its grant or its record has lost its standing, and by no revocation
   */
  renew(isDoubtful: (node: NodeIdText, before: Standing) => boolean): void {
    const now = this.clock.monotonic();
    for (const [node, doubt] of this.doubts)
      if (now >= doubt.until || !isDoubtful(node, doubt)) this.doubts.delete(node);
    for (const [node, standing] of this.before)
      if (isDoubtful(node, standing)) this.doubts.set(node, { ...standing, until: this.since + DOUBT_MS });
    this.before = new Map();
    this.noteEnd();
  }

  /** @returns true when somebody's doubt has come to its end since the last time */
  lapse(): boolean {
    if (this.doubts.size === 0) return false;
    const now = this.clock.monotonic();
    if (now < this.nextEnd) return false;
    for (const [node, { until }] of this.doubts) if (now >= until) this.doubts.delete(node);
    this.noteEnd();
    return true;
  }

  private noteEnd(): void {
    this.nextEnd = Infinity;
    for (const { until } of this.doubts.values()) this.nextEnd = Math.min(this.nextEnd, until);
  }

  of(node: NodeIdText): Doubt | undefined {
    const doubt = this.doubts.get(node);
    return doubt && this.clock.monotonic() < doubt.until ? doubt : undefined;
  }
}
