/**
 * Links in their catch-up. The handshake's caps end with the handshake, so those of others are counted here: the newest
 * of its kind makes the oldest go, and who holds the network's secret alone cannot keep members out.
 */
import type { NodeIdText } from '../../protocol/identity/node-id.js';
import type { NewLink } from '../transport/transport.js';

/** Accepted links of one member. */
export const MAX_ARRIVING_OF_MEMBER = 4;
/** Accepted links of all others together. */
export const MAX_ARRIVING_OF_OTHERS = 32;

export class Arrivals {
  private readonly links = new Map<NewLink, NodeIdText | undefined>();

  get size(): number {
    return this.links.size;
  }

  /** @param member who proved itself by the handshake; undefined when that takes the catch-up, or is no member */
  add(link: NewLink, member: NodeIdText | undefined): void {
    if (link.direction === 'accepted') this.makeRoom(member);
    this.links.set(link, member);
  }

  done(link: NewLink): void {
    this.links.delete(link);
  }

  abort(): void {
    for (const link of this.links.keys()) link.transport.abort();
  }

  private makeRoom(member: NodeIdText | undefined): void {
    const alike = [...this.links].filter(([link, of]) => link.direction === 'accepted' && of === member);
    const oldest = alike[0]?.[0];
    if (oldest === undefined) return;
    if (alike.length < (member === undefined ? MAX_ARRIVING_OF_OTHERS : MAX_ARRIVING_OF_MEMBER)) return;
    this.links.delete(oldest);
    oldest.transport.abort();
  }
}
