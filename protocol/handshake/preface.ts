/**
 * The preface: 38 bytes in front of message 1, the same in every version of the protocol.
 *
 *   magic 4 ‖ version 1 ‖ suite 1 ‖ nonce 16 ‖ hint 16
 *
 * The hint proves knowledge of a PSK and says which one without naming it: whoever has none gets no byte in answer and
 * costs one HMAC per PSK. It also authenticates the version, so an unknown one can be answered.
 */
import { concat, equal, fromBase64url, toBase64url, utf8 } from '../bytes.js';
import type { AeadName, Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { hkdf32 } from './kdf.js';
import type { ReplayGuard } from './replay.js';
import type { HandshakeContext, Psk, PskKeys, VersionRange } from './types.js';
import {
  HINT_LENGTH,
  HINTED_BYTES,
  MAGIC,
  MAGIC_LENGTH,
  MAX_INVITES,
  MAX_SECRETS,
  NONCE_LENGTH,
  PREFACE_BYTES,
  VERSION_MAC_LENGTH,
  VERSION_REPLY_BYTES,
} from './wire.js';

export { PREFACE_BYTES } from './wire.js';

/** The version that this code speaks. */
export const VERSION = 1;
export const SPOKEN: VersionRange = { oldest: VERSION, newest: VERSION };

/** Noise protocol names; one hash for both, since a PSK and a static key must not meet two (Noise §14). */
export const PROTOCOLS: Readonly<Record<AeadName, string>> = {
  ChaChaPoly: 'Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256',
  AESGCM: 'Noise_XXhfs+psk0_25519+MLKEM768_AESGCM_SHA256',
};

/** The suite byte. */
export const SUITES: Readonly<Record<AeadName, number>> = { ChaChaPoly: 1, AESGCM: 2 };

const SUITE_NAMES = new Map<number, AeadName>([
  [SUITES.ChaChaPoly, 'ChaChaPoly'],
  [SUITES.AESGCM, 'AESGCM'],
]);

const VERSION_LABEL = utf8('warren version');

/**
 * Derives once what every handshake under `psk` needs.
 * @throws WarrenError `internal` if the secret is not 32 bytes
 */
export function pskKeys(primitives: Primitives, psk: Psk): PskKeys {
  if (psk.secret.length !== 32) throw new WarrenError('internal', 'a PSK is 32 bytes long');
  const noise = (suite: AeadName): Uint8Array => hkdf32(primitives, psk.secret, utf8(`warren psk${PROTOCOLS[suite]}`));
  return {
    psk,
    hintKey: hkdf32(primitives, psk.secret, utf8('warren hint')),
    noisePsk: { ChaChaPoly: noise('ChaChaPoly'), AESGCM: noise('AESGCM') },
  };
}

function hintOf(primitives: Primitives, hintKey: Uint8Array, hinted: Uint8Array): Uint8Array {
  return primitives.hash.SHA256.hmac(hintKey, hinted).subarray(0, HINT_LENGTH);
}

/** @param version 0–255. @returns PREFACE_BYTES bytes with a fresh nonce */
export function encodePreface(primitives: Primitives, keys: PskKeys, version: number, suite: AeadName): Uint8Array {
  const head = concat(MAGIC, Uint8Array.of(version, SUITES[suite]), primitives.random(NONCE_LENGTH));
  return concat(head, hintOf(primitives, keys.hintKey, head));
}

/** The nonce inside a preface, a view. */
export function prefaceNonce(preface: Uint8Array): Uint8Array {
  return preface.subarray(MAGIC_LENGTH + 2, HINTED_BYTES);
}

/**
 * known: a member's or joiner's preface, go on with a Responder · version: it proves a PSK but names a version or a
 * suite that is not spoken here: send `reply`, log `why`, close.
 */
export type Recognition =
  | { readonly kind: 'known'; readonly keys: PskKeys; readonly suite: AeadName; readonly version: number }
  | {
      readonly kind: 'version';
      readonly reply: Uint8Array;
      readonly why: string;
      readonly version: number;
      readonly spoken: VersionRange;
    };

/**
 * Reads a preface. Costs at most MAX_SECRETS + MAX_INVITES HMACs, no DH.
 * @param preface as it came; any length other than PREFACE_BYTES is a stranger's
 * @param psks newest secret first; beyond MAX_SECRETS secrets and MAX_INVITES invites the rest is not tried
 * @param replay remembers the nonce: a preface is good for one link in the life of a process
 * @returns undefined for a stranger: close without a byte
 */
export function recognize(
  ctx: Pick<HandshakeContext, 'primitives' | 'versions'>,
  preface: Uint8Array,
  psks: readonly PskKeys[],
  replay: ReplayGuard,
): Recognition | undefined {
  if (preface.length !== PREFACE_BYTES || !equal(preface.subarray(0, MAGIC_LENGTH), MAGIC)) return undefined;
  const keys = proven(ctx.primitives, preface, psks);
  if (keys === undefined || !replay.freshPreface(prefaceNonce(preface))) return undefined;
  const version = preface[MAGIC_LENGTH]!;
  const suiteByte = preface[MAGIC_LENGTH + 1]!;
  const spoken = ctx.versions ?? SPOKEN;
  const suite = SUITE_NAMES.get(suiteByte);
  if (version < spoken.oldest || version > spoken.newest) {
    return refusal(ctx.primitives, keys, preface, spoken, `the peer speaks version ${version}`);
  }
  // Suites belong to a version, so an unknown one is a peer of another version in disguise: it gets the same answer.
  if (suite === undefined) return refusal(ctx.primitives, keys, preface, spoken, `the peer wants suite ${suiteByte}`);
  return { kind: 'known', keys, suite, version };
}

/** The PSK whose hint the preface carries. */
function proven(primitives: Primitives, preface: Uint8Array, psks: readonly PskKeys[]): PskKeys | undefined {
  const hinted = preface.subarray(0, HINTED_BYTES);
  const hint = preface.subarray(HINTED_BYTES);
  let secrets = 0;
  let invites = 0;
  let found: PskKeys | undefined;
  // No early exit: the time does not tell which PSK it was.
  for (const keys of psks) {
    if (keys.psk.kind === 'invite' ? ++invites > MAX_INVITES : ++secrets > MAX_SECRETS) continue;
    if (equal(hintOf(primitives, keys.hintKey, hinted), hint)) found ??= keys;
  }
  return found;
}

function refusal(
  primitives: Primitives,
  keys: PskKeys,
  preface: Uint8Array,
  spoken: VersionRange,
  what: string,
): Recognition {
  const reply = encodeVersionReply(primitives, keys, preface, spoken);
  const why = `${what}, this node speaks ${rangeText(spoken)}`;
  return { kind: 'version', reply, why, version: preface[MAGIC_LENGTH]!, spoken };
}

/** "version 1" or "versions 1 to 3" */
export function rangeText(range: VersionRange): string {
  return range.oldest === range.newest ? `version ${range.oldest}` : `versions ${range.oldest} to ${range.newest}`;
}

/**
 * The answer to a proven preface whose version or suite is not spoken:
 * magic ‖ oldest ‖ newest ‖ first 16 bytes of HMAC(hint key, "warren version" ‖ preface ‖ the 6 bytes before).
 */
export function encodeVersionReply(
  primitives: Primitives,
  keys: PskKeys,
  preface: Uint8Array,
  spoken: VersionRange,
): Uint8Array {
  const head = concat(MAGIC, Uint8Array.of(spoken.oldest, spoken.newest));
  return concat(head, versionMac(primitives, keys, preface, head));
}

function versionMac(primitives: Primitives, keys: PskKeys, preface: Uint8Array, head: Uint8Array): Uint8Array {
  const mac = primitives.hash.SHA256.hmac(keys.hintKey, concat(VERSION_LABEL, preface, head));
  return mac.subarray(0, VERSION_MAC_LENGTH);
}

/**
 * @param preface the one that was sent; the reply belongs to it alone
 * @returns undefined if the bytes are not a reply of a holder of the PSK
 */
export function decodeVersionReply(
  primitives: Primitives,
  keys: PskKeys,
  preface: Uint8Array,
  bytes: Uint8Array,
): VersionRange | undefined {
  if (bytes.length !== VERSION_REPLY_BYTES || !equal(bytes.subarray(0, MAGIC_LENGTH), MAGIC)) return undefined;
  const head = bytes.subarray(0, MAGIC_LENGTH + 2);
  if (!equal(versionMac(primitives, keys, preface, head), bytes.subarray(MAGIC_LENGTH + 2))) return undefined;
  const range = { oldest: bytes[MAGIC_LENGTH]!, newest: bytes[MAGIC_LENGTH + 1]! };
  return range.oldest <= range.newest ? range : undefined;
}

const SUBPROTOCOL_PREFIX = 'warren.';
const SUBPROTOCOL_LENGTH = SUBPROTOCOL_PREFIX.length + Math.ceil((PREFACE_BYTES * 4) / 3); // 7 + 51

/** The preface as the one value of `Sec-WebSocket-Protocol`: "warren." ‖ base64url. Every character is an HTTP token's. */
export function toSubprotocol(preface: Uint8Array): string {
  return SUBPROTOCOL_PREFIX + toBase64url(preface);
}

/**
 * @param header the value of `Sec-WebSocket-Protocol`; a list of several is refused
 * @returns PREFACE_BYTES bytes, not yet recognized; undefined if it is anything else
 */
export function fromSubprotocol(header: string | undefined): Uint8Array | undefined {
  if (header?.length !== SUBPROTOCOL_LENGTH || !header.startsWith(SUBPROTOCOL_PREFIX)) return undefined;
  try {
    return fromBase64url(header.slice(SUBPROTOCOL_PREFIX.length));
  } catch {
    return undefined;
  }
}
