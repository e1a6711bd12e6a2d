/**
 * Sizes of everything that the handshake puts on the wire, as arithmetic. A reader never needs a buffer larger than
 * the constant for the state it is in; every length that comes from outside is checked against these first.
 */

// Noise (revision 34) and FIPS 203
export const DH_LENGTH = 32;
export const TAG_LENGTH = 16;
export const KEM_PUBLIC_LENGTH = 1184;
export const KEM_CIPHERTEXT_LENGTH = 1088;

// Preface: magic ‖ version ‖ suite ‖ nonce ‖ hint. The same in every version.
/** 0xd7 is neither the first byte of an HTTP method nor of a TLS record (0x16), nor ASCII at all. */
export const MAGIC = Uint8Array.of(0xd7, 0x77, 0x72, 0x6e);
export const MAGIC_LENGTH = 4;
export const NONCE_LENGTH = 16;
export const HINT_LENGTH = 16;
export const HINTED_BYTES = MAGIC_LENGTH + 1 + 1 + NONCE_LENGTH; // what the hint covers: 22
export const PREFACE_BYTES = HINTED_BYTES + HINT_LENGTH; // 38

// Version reply: magic ‖ oldest version ‖ newest version ‖ MAC. The same in every version.
export const VERSION_MAC_LENGTH = 16;
export const VERSION_REPLY_BYTES = MAGIC_LENGTH + 1 + 1 + VERSION_MAC_LENGTH; // 22

// Message 1: e ‖ e1 ‖ payload. Fixed size, no length in front.
export const TIME_BYTES = 8;
export const MESSAGE_1_BYTES = DH_LENGTH + (KEM_PUBLIC_LENGTH + TAG_LENGTH) + (TIME_BYTES + TAG_LENGTH); // 1256

/** All that the dialing side sends before it hears anything. */
export const OPENING_BYTES = PREFACE_BYTES + MESSAGE_1_BYTES; // 1294

// Payloads 2 and 3: u16 length of the CBOR ‖ CBOR ‖ zeros, a multiple of PAYLOAD_UNIT.
export const PAYLOAD_UNIT = 512;
/** Room for the largest statement (1024) and grant (2208) and some 200 bytes beside them. */
export const PAYLOAD_MAX = 8 * PAYLOAD_UNIT; // 4096

// Messages 2 and 3: u16 length ‖ message.
export const LENGTH_BYTES = 2;
/** e ‖ ekem1 ‖ s ‖ payload tag */
export const MESSAGE_2_OVERHEAD =
  DH_LENGTH + (KEM_CIPHERTEXT_LENGTH + TAG_LENGTH) + (DH_LENGTH + TAG_LENGTH) + TAG_LENGTH; // 1200
/** s ‖ payload tag */
export const MESSAGE_3_OVERHEAD = DH_LENGTH + TAG_LENGTH + TAG_LENGTH; // 64
export const MESSAGE_2_MIN = MESSAGE_2_OVERHEAD + PAYLOAD_UNIT; // 1712
export const MESSAGE_2_MAX = MESSAGE_2_OVERHEAD + PAYLOAD_MAX; // 5296
export const MESSAGE_3_MIN = MESSAGE_3_OVERHEAD + PAYLOAD_UNIT; // 576
export const MESSAGE_3_MAX = MESSAGE_3_OVERHEAD + PAYLOAD_MAX; // 4160

/** True for the length of a message with `overhead` whose payload obeys PAYLOAD_UNIT and PAYLOAD_MAX. */
export function isMessageLength(length: number, overhead: number): boolean {
  const payload = length - overhead;
  return payload >= PAYLOAD_UNIT && payload <= PAYLOAD_MAX && payload % PAYLOAD_UNIT === 0;
}

// What is tried, accepted and remembered
/** Network secrets whose hints are tried: the current one, its successor while it spreads, and old ones. */
export const MAX_SECRETS = 8;
/** Invites whose hints are tried, burnt ones included. */
export const MAX_INVITES = 64;
/** Payload 1 is accepted this far from the own clock, either way, ms. */
export const CLOCK_WINDOW_MS = 60 * 60 * 1000;
