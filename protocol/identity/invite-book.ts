/**
 * The invites that an admin has open. Use binds an invite to the joiner's node ID: that node may come again until the
 * invite expires and gets the same grant, so a link lost at the wrong moment costs nothing; a second node is refused and
 * shouted. Burnt secrets are kept an hour past their expiry, so that who comes late hears "used" or "expired".
 */
import { equal } from '../bytes.js';
import type { Random } from '../clock.js';
import type { Code } from '../codes.js';
import { WarrenError } from '../errors.js';
import { cborMap, decodeFields, encodeCanonical, Fields } from './cbor.js';
import type { CborValue } from './cbor.js';
import { HOUR_MS, MAX_GRANT_BYTES } from './grant.js';
import { INVITE_SECRET_LENGTH } from './invite.js';
import { MAX_TAG, MAX_TAGS, checkTags, foldName, isTag } from './names.js';
import { NODE_ID_LENGTH, shortId, toBase32, type NodeId } from './node-id.js';

const ID_BYTES = 5;
const MAX_ID = 16;

/** Every secret here is tried against a first message, so there must be few. */
export const MAX_INVITES = 64;
export const BURNT_MS = HOUR_MS;
const MAX_STATE_BYTES = MAX_INVITES * (MAX_GRANT_BYTES + 2048);

export type InviteState = 'open' | 'used' | 'expired';

export interface InviteEntry {
  /** Random, says nothing of the secret: for logs and for the handshake to name it by. */
  readonly id: string;
  /** 32 bytes */
  readonly secret: Uint8Array;
  /** ms since the epoch */
  readonly expires: number;
  readonly tags: readonly string[];
  readonly forNode?: NodeId;
  /** Who used it. */
  readonly usedBy?: NodeId;
  /** What that node was given. */
  readonly grant?: Uint8Array;
}

export type InviteUse =
  /** `again`: the same node as before; it gets `entry.grant` if that is there. */
  | { readonly status: 'ok'; readonly again: boolean; readonly entry: InviteEntry }
  | { readonly status: 'refused'; readonly code: Code; readonly sentence: string; readonly alarm?: string };

export class InviteBook {
  private entries: InviteEntry[] = [];

  /**
   * Opens an invite.
   * @param ttl ms
   * @throws WarrenError `limit` when 64 are open, `bad-value` for a tag or ttl
   */
  open(
    random: Random,
    now: number,
    options: { readonly ttl: number; readonly tags?: readonly string[]; readonly forNode?: NodeId },
  ): InviteEntry {
    const { ttl, tags = [], forNode } = options;
    checkTags(tags);
    if (!Number.isSafeInteger(ttl) || ttl <= 0) throw new WarrenError('bad-value', 'an invite must live for some time');
    this.prune(now);
    this.makeRoom(now);
    const secret = random(INVITE_SECRET_LENGTH);
    const id = toBase32(random(ID_BYTES));
    const entry = { id, secret, expires: now + ttl, tags, ...(forNode && { forNode }) };
    this.entries.push(entry);
    return entry;
  }

  /** What is kept only to answer "expired" gives way to a new invite. */
  private makeRoom(now: number): void {
    if (this.entries.length < MAX_INVITES) return;
    const burnt = this.entries.findIndex(e => now >= e.expires);
    if (burnt < 0) {
      throw new WarrenError('limit', `${MAX_INVITES} invites are open`, {
        hint: 'Wait until some are used or expire.',
      });
    }
    this.entries.splice(burnt, 1);
  }

  private prune(now: number): void {
    this.entries = this.entries.filter(e => now < e.expires + BURNT_MS);
  }

  /** Those whose secrets are to be tried against a first message: also used ones, and expired ones for an hour. */
  list(now: number): readonly (InviteEntry & { readonly state: InviteState })[] {
    this.prune(now);
    return this.entries.map(e => ({ ...e, state: now >= e.expires ? 'expired' : e.usedBy ? 'used' : 'open' }));
  }

  /** Not used and not expired. */
  openCount(now: number): number {
    return this.entries.filter(e => !e.usedBy && now < e.expires).length;
  }

  /** A node that proved the secret of invite `id` asks to be admitted. The first one binds the invite to itself. */
  use(id: string, node: NodeId, now: number): InviteUse {
    this.prune(now);
    const index = this.entries.findIndex(e => e.id === id);
    const entry = this.entries[index];
    if (!entry) return refused('invite-unknown', 'this invite is not known here');
    if (entry.usedBy && !equal(entry.usedBy, node)) {
      const alarm = `${shortId(node)} came with an invite that ${shortId(entry.usedBy)} has used: it has leaked`;
      return { ...refused('invite-used', 'this invite was used by another node'), alarm };
    }
    if (now >= entry.expires) return refused('invite-expired', 'this invite has expired');
    if (entry.forNode && !equal(entry.forNode, node)) {
      const alarm = `${shortId(node)} came with an invite made for ${shortId(entry.forNode)}`;
      return { ...refused('invite-used', 'this invite was made for another node'), alarm };
    }
    const bound = { ...entry, usedBy: new Uint8Array(node) };
    this.entries[index] = bound;
    return { status: 'ok', again: entry.usedBy !== undefined, entry: bound };
  }

  /** Takes back a use that led to nothing, because no grant could be made (a name in use, say). */
  release(id: string): void {
    this.entries = this.entries.map(e => {
      if (e.id !== id || e.grant) return e;
      const { usedBy: _, ...open } = e;
      return open;
    });
  }

  /** Remembers what the node was given, so that it gets the same when it comes again. */
  remember(id: string, grant: Uint8Array): void {
    this.entries = this.entries.map(e => (e.id === id ? { ...e, grant: new Uint8Array(grant) } : e));
  }

  /** Forgets them all. */
  clear(): void {
    this.entries = [];
  }

  /** For keeping: holds secrets. */
  exportState(): Uint8Array {
    return encodeCanonical(cborMap([[0, 1], [1, this.entries.map(writeEntry)]])); // prettier-ignore
  }

  /** Replaces what is in the book. @throws WarrenError `malformed`; the book is unchanged then */
  importState(bytes: Uint8Array): void {
    const fields = decodeFields(bytes, 'invite book', MAX_STATE_BYTES);
    fields.version(1);
    const entries = fields.list(1, 'invites', MAX_INVITES, readEntry);
    fields.end();
    this.entries = entries;
  }
}

function refused(code: Code, sentence: string): { status: 'refused'; code: Code; sentence: string } {
  return { status: 'refused', code, sentence };
}

function writeEntry(entry: InviteEntry): CborValue {
  return cborMap([
    [0, entry.secret],
    [1, entry.expires],
    [2, entry.tags.length > 0 ? entry.tags : undefined],
    [3, entry.forNode],
    [4, entry.usedBy],
    [5, entry.grant],
    [6, entry.id],
  ]);
}

function readEntry(value: CborValue): InviteEntry {
  const fields = Fields.of(value, 'invite in an invite book');
  const secret = fields.bytes(0, 'secret', INVITE_SECRET_LENGTH);
  const expires = fields.uint(1, 'expires');
  const tags = fields.texts(2, 'tags', { count: MAX_TAGS, length: MAX_TAG }, isTag, foldName);
  const forNode = fields.optionalBytes(3, 'node it is for', NODE_ID_LENGTH);
  const usedBy = fields.optionalBytes(4, 'node that used it', NODE_ID_LENGTH);
  const grant = fields.optionalBytes(5, 'grant', { max: MAX_GRANT_BYTES });
  const id = fields.text(6, 'id', MAX_ID);
  fields.end();
  return { id, secret, expires, tags, ...(forNode && { forNode }), ...(usedBy && { usedBy }), ...(grant && { grant }) };
}
