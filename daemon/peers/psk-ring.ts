/** The pre-shared secrets that open something here, with what the handshake derives from each. */
import { equal, toHex } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { pskKeys } from '../../protocol/handshake/preface.js';
import type { Psk, PskKeys } from '../../protocol/handshake/types.js';
import { MAX_INVITES } from '../../protocol/identity/invite-book.js';
import { MAX_OPEN_SECRETS, secretHash, type OpenSecret } from '../../protocol/identity/network-secret.js';
import type { SecretRecord } from '../home/statefile.js';

/** A network secret that we hold and that a signed statement lets open something. */
export interface HeldSecret extends SecretRecord {
  /** false: replaced, good for a catch-up only */
  readonly current: boolean;
}

export class PskRing {
  private readonly derived = new Map<string, PskKeys>();
  private readonly hashes = new WeakMap<Uint8Array, Uint8Array>();

  constructor(private readonly primitives: Primitives) {}

  /**
   * @param held secrets of the home
   * @param open what the signed statements say, the one in force first
   * @returns those held that open something, in the order of `open`
   */
  held(held: readonly SecretRecord[], open: readonly OpenSecret[]): readonly HeldSecret[] {
    return open.flatMap(({ secretHash: hash, current }) => {
      const record = held.find(({ secret }) => equal(this.hashOf(secret), hash));
      return record === undefined ? [] : [{ ...record, current }];
    });
  }

  private hashOf(secret: Uint8Array): Uint8Array {
    const known = this.hashes.get(secret);
    if (known !== undefined) return known;
    const hash = secretHash(this.primitives.hash.SHA256, secret);
    this.hashes.set(secret, hash);
    return hash;
  }

  /** The one in force first, then old ones, then invites, burnt ones included. */
  all(
    secrets: readonly HeldSecret[],
    invites: readonly { readonly id: string; readonly secret: Uint8Array }[],
  ): readonly PskKeys[] {
    return [
      ...secrets.map(({ secret, current }) => this.keysOf({ secret, kind: current ? 'network' : 'old-network' })),
      ...invites.map(({ id, secret }) => this.keysOf({ secret, kind: 'invite', id })),
    ];
  }

  /** Derived once for each secret and kind: every stranger's connection asks for all of them. */
  private keysOf(psk: Psk): PskKeys {
    const key = `${psk.kind}/${toHex(psk.secret)}`;
    const known = this.derived.get(key);
    if (known !== undefined) return known;
    if (this.derived.size > 2 * (MAX_OPEN_SECRETS + MAX_INVITES)) this.derived.clear();
    const keys = pskKeys(this.primitives, psk);
    this.derived.set(key, keys);
    return keys;
  }
}
