/** What the handshake takes and gives: secrets, the local identity, the result, the steps of the two machines. */
import type { Clock } from '../clock.js';
import type { Code } from '../codes.js';
import type { AeadName, KeyPair, Primitives } from '../crypto/primitives.js';
import type { NodeId } from '../identity/node-id.js';

/** network: the newest secret · old-network: a replaced one, catch-up only · invite: the one-time secret of an invite */
export type PskKind = 'network' | 'old-network' | 'invite';

export interface Psk {
  /** 32 bytes with 256 bits of entropy */
  readonly secret: Uint8Array;
  readonly kind: PskKind;
  /**
   * The invite's id; absent for network secrets. Used and expired invites stay in the table until an hour past their
   * expiry: whoever comes with one is identified first and then told which it is.
   */
  readonly id?: string;
}

/** A PSK with what is derived from it once: see preface.ts, `pskKeys`. */
export interface PskKeys {
  readonly psk: Psk;
  /** 32 bytes: HKDF(secret, "warren hint") */
  readonly hintKey: Uint8Array;
  /** 32 bytes per suite: HKDF(secret, "warren psk" ‖ protocol name) */
  readonly noisePsk: Readonly<Record<AeadName, Uint8Array>>;
}

/** Who this node is at this moment; asked once per handshake, so a rotation takes effect with the next one. */
export interface LocalIdentity {
  readonly nodeId: NodeId;
  /** The network that this node is in, or joins: its founder's node ID. */
  readonly network: NodeId;
  /** X25519; its public key is the one that `statement` names. */
  readonly noise: KeyPair;
  /** newest signed statement of the own key log */
  readonly statement: Uint8Array;
  /** own signed grant; absent for a founder and for a joiner */
  readonly grant?: Uint8Array;
}

/** A note for the log that is not the end of a handshake. */
export interface HandshakeEvent {
  readonly level: 'info' | 'warn';
  /** one sentence, no secret in it */
  readonly sentence: string;
}

/** Protocol versions that a node speaks, both ends included. */
export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

/** What a handshake needs from its owner. */
export interface HandshakeContext {
  readonly primitives: Primitives;
  readonly clock: Clock;
  identity(): LocalIdentity;
  /** 32 bytes: digest of what the trust store holds; equal digests skip the catch-up */
  digest(): Uint8Array;
  log(event: HandshakeEvent): void;
  /** Somebody with a proof was turned away since its clock is so far ahead of the own one (below 0: behind), ms. */
  onClockSkew?(aheadMs: number): void;
  /** What this node sends is rekeyed after so many bytes, MIN_REKEY_BYTES … MAX_REKEY_BYTES; default: the latter. */
  readonly rekeyBytes?: number;
  /** default: SPOKEN (preface.ts) */
  readonly versions?: VersionRange;
}

/** What the peer said of itself in payload 2 or 3, checked as far as its own bytes allow. */
export interface PeerPayload {
  /** Proven when `seq` is 0; claimed until the catch-up has shown the key log when it is higher. */
  readonly nodeId: NodeId;
  readonly network: NodeId;
  /** the signed statement, as it came */
  readonly statement: Uint8Array;
  readonly seq: number;
  readonly statementHash: Uint8Array;
  readonly grant?: Uint8Array;
  /** its wall clock, ms since the epoch */
  readonly clockMs: number;
  /** bits of FEATURES (payload.ts); unknown ones are ignored */
  readonly features: number;
  readonly digest: Uint8Array;
  readonly highestVersion: number;
  /** It wants the catch-up even if the digests are equal: it joins, or the PSK is not the newest it knows. */
  readonly catchUp: boolean;
  /** What it sends is rekeyed after so many bytes; absent: MAX_REKEY_BYTES. */
  readonly rekeyBytes?: number;
  /** present when it joins by invite */
  readonly join?: { readonly name: string };
}

/** An identified link: keys, and who claims to be at the other end. Admission comes next. */
export interface Established {
  readonly initiator: boolean;
  readonly version: number;
  readonly suite: AeadName;
  readonly psk: { readonly kind: PskKind; readonly id?: string };
  /** 32 bytes, public: binds what is proven on the link to the link */
  readonly handshakeHash: Uint8Array;
  /** 32 bytes each, secret */
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly exporter: Uint8Array;
  readonly peer: PeerPayload;
  /** The own Noise key, public, 32 bytes: with another key since then the link is to be replaced. */
  readonly localStatic: Uint8Array;
  /** The digest that the own payload stated. */
  readonly localDigest: Uint8Array;
  /** What the own payload said under `catchUp`. */
  readonly localCatchUp: boolean;
  /** What the own payload said under `rekeyBytes`. */
  readonly localRekeyBytes?: number;
  /** The name that the own payload asked for; present on the joining side. */
  readonly localJoin?: { readonly name: string };
}

/**
 * One step of a handshake machine. After `drop` and `established` the machine takes no more bytes.
 * drop: close the transport without a byte. `why` is for the log, `code` for the own caller (never for the wire);
 * `versions` is set when the other side turned out to speak other versions.
 */
export type Progress =
  | { readonly kind: 'more' }
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'established';
      readonly send?: Uint8Array;
      readonly established: Established;
      /** what came behind the handshake: the first bytes of the record layer, not copied */
      readonly rest: Uint8Array;
    }
  | {
      readonly kind: 'drop';
      readonly why: string;
      readonly code?: Code;
      readonly versions?: { readonly own: VersionRange; readonly peer: VersionRange };
    };
