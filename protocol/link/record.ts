/**
 * Records: the layer right on top of the transport (docs/protocol.md, "Records").
 *
 *   u24 length of what follows ‖ ciphertext ‖ tag 16        the three length bytes are the associated data
 *
 * The nonce counts records per direction from 0 and is never reset. After the record with which a direction has
 * carried `rekeyBytes` of ciphertext or `rekeyRecords` records since its last rekey, both ends replace that direction's
 * key by REKEY(k) (Noise, revision 34, §4.2). Each side has said in the handshake after how many bytes it does so for
 * what it sends; the other side follows.
 */
import { EMPTY, concat, wipe } from '../bytes.js';
import type { Aead, AeadKey, AeadName, PieceKey } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { MAX_RECORD_PLAINTEXT } from '../limits.js';
import { Slab } from '../slab.js';

export const RECORD_HEADER = 3;
export const RECORD_TAG = 16;
/** Length field: at least one byte of plaintext, at most MAX_RECORD_PLAINTEXT, and the tag. */
export const MIN_RECORD_LENGTH = 1 + RECORD_TAG;
export const MAX_RECORD_LENGTH = MAX_RECORD_PLAINTEXT + RECORD_TAG;

/** Records up to this length come out of the sealer in one piece. */
const ONE_PIECE_BELOW = 8 * 1024;
/** Memory for small records, bytes. They leave in their order: what waits for a transport keeps at most two of these more. */
const SEALED_SLAB_BYTES = 16 * 1024;

const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const ZEROS = new Uint8Array(KEY_LENGTH);
const REKEY_NONCE = new Uint8Array(NONCE_LENGTH).fill(0xff, 4); // n = 2^64 - 1 reads the same in both byte orders

export interface RekeyLimits {
  readonly rekeyBytes: number;
  readonly rekeyRecords: number;
}

/** One direction's key, nonce and rekey counters. */
class DirectionKey {
  key: AeadKey;
  records = 0;
  rekeys = 0;
  private sinceBytes = 0;
  private sinceRecords = 0;
  private readonly nonceBytes = new Uint8Array(NONCE_LENGTH);
  private readonly view = new DataView(this.nonceBytes.buffer);

  constructor(
    private readonly aead: Aead,
    key: Uint8Array,
    private readonly limits: RekeyLimits,
  ) {
    this.key = aead.key(key);
  }

  /** n of the next record in the suite's layout: 4 zero bytes, then 8 bytes (Noise §12.3, §12.4). Valid until the next call. */
  nonce(): Uint8Array {
    if (this.records >= Number.MAX_SAFE_INTEGER) throw new WarrenError('limit', 'the nonces of this link are used up');
    const high = Math.floor(this.records / 0x1_0000_0000);
    const low = this.records >>> 0;
    const isLittle = LITTLE_ENDIAN_NONCE[this.aead.name];
    this.view.setUint32(4, isLittle ? low : high, isLittle);
    this.view.setUint32(8, isLittle ? high : low, isLittle);
    return this.nonceBytes;
  }

  /** Counts a record of `length` (its length field) and rekeys when it is time. */
  advance(length: number): void {
    this.records++;
    this.sinceRecords++;
    this.sinceBytes += length;
    if (this.sinceBytes >= this.limits.rekeyBytes || this.sinceRecords >= this.limits.rekeyRecords) this.rekey();
  }

  private rekey(): void {
    const next = this.key.seal(REKEY_NONCE, EMPTY, ZEROS).slice(0, KEY_LENGTH);
    this.key.destroy();
    this.key = this.aead.key(next);
    wipe(next);
    this.sinceBytes = 0;
    this.sinceRecords = 0;
    this.rekeys++;
  }
}

const LITTLE_ENDIAN_NONCE: Readonly<Record<AeadName, boolean>> = { ChaChaPoly: true, AESGCM: false };

/** Writes a length field (0 … 2^24 - 1). */
export function recordHeader(length: number): Uint8Array {
  const header = new Uint8Array(RECORD_HEADER);
  writeHeader(header, length);
  return header;
}

function writeHeader(out: Uint8Array, length: number): void {
  out[0] = length >> 16;
  out[1] = (length >> 8) & 0xff;
  out[2] = length & 0xff;
}

function sealsParts(key: AeadKey): key is PieceKey {
  return 'sealParts' in key;
}

/** @returns ciphertext ‖ tag in pieces */
function sealPieces(key: AeadKey, nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
  if (sealsParts(key)) return key.sealParts(nonce, ad, parts);
  return [key.seal(nonce, ad, parts.length === 1 ? parts[0]! : concat(...parts))];
}

export class RecordSealer {
  private readonly direction: DirectionKey;
  private readonly slab = new Slab(SEALED_SLAB_BYTES);
  /** of the record that is being sealed; outside of V8's heap, where the cipher would have to move it to each time */
  private readonly header = new Uint8Array(new ArrayBuffer(RECORD_HEADER));

  /** @param key 32 bytes, copied */
  constructor(aead: Aead, key: Uint8Array, limits: RekeyLimits) {
    this.direction = new DirectionKey(aead, key, limits);
  }

  /** Records sealed so far; also the number of the next one. */
  get records(): number {
    return this.direction.records;
  }

  get rekeys(): number {
    return this.direction.rekeys;
  }

  /**
   * @param parts plaintext in pieces, 1 … MAX_RECORD_PLAINTEXT bytes together; not kept, not changed
   * @returns the record in pieces: new memory that the caller owns
   */
  seal(parts: readonly Uint8Array[]): Uint8Array[] {
    let length = RECORD_TAG;
    for (const part of parts) length += part.length;
    if (length < MIN_RECORD_LENGTH || length > MAX_RECORD_LENGTH) {
      throw new WarrenError('internal', `a record of ${length - RECORD_TAG} bytes`);
    }
    const record = length <= ONE_PIECE_BELOW ? [this.sealSmall(parts, length)] : this.sealLarge(parts, length);
    this.direction.advance(length);
    return record;
  }

  /** One piece of memory: for small records a copy costs less than a longer list of pieces in the transport. */
  private sealSmall(parts: readonly Uint8Array[], length: number): Uint8Array {
    const { header, direction } = this;
    const { key } = direction;
    writeHeader(header, length);
    const plaintext = parts.length === 1 ? parts : [concat(...parts)];
    const record = this.slab.piece(RECORD_HEADER + length);
    writeHeader(record, length);
    let at = RECORD_HEADER;
    for (const piece of sealPieces(key, direction.nonce(), header, plaintext)) {
      record.set(piece, at);
      at += piece.length;
    }
    return record;
  }

  private sealLarge(parts: readonly Uint8Array[], length: number): Uint8Array[] {
    const header = this.slab.piece(RECORD_HEADER);
    writeHeader(header, length);
    return [header, ...sealPieces(this.direction.key, this.direction.nonce(), header, parts)];
  }

  /** Gives memory back while the link is idle. */
  trim(): void {
    this.slab.trim();
  }

  destroy(): void {
    this.direction.key.destroy();
  }
}

/** Takes bytes as they come and gives whole records' plaintext. After an error it must be dropped. */
export class RecordOpener {
  private readonly direction: DirectionKey;
  private readonly header = new Uint8Array(RECORD_HEADER);
  private headerBytes = 0;
  /** of the record that is coming; 0 while its header is not complete */
  private length = 0;
  /** Holds a record that comes in several chunks; used again for the next one. */
  private assembly = EMPTY;
  private assembled = 0;
  private stopped = false;

  /**
   * @param key 32 bytes, copied
   * @param onRecord gets the plaintext, 1 … MAX_RECORD_PLAINTEXT bytes, in memory of its own
   */
  constructor(
    aead: Aead,
    key: Uint8Array,
    limits: RekeyLimits,
    private readonly onRecord: (plaintext: Uint8Array) => void,
  ) {
    this.direction = new DirectionKey(aead, key, limits);
  }

  /** Records opened so far. */
  get records(): number {
    return this.direction.records;
  }

  get rekeys(): number {
    return this.direction.rekeys;
  }

  /** Bytes of a record that is not complete. */
  get partial(): number {
    return this.headerBytes + this.assembled;
  }

  /** Bytes until the header behind the record that is coming is complete; 0 while its own header is not. */
  get missing(): number {
    return this.length === 0 ? 0 : this.length - this.assembled + RECORD_HEADER;
  }

  /**
   * @param chunk any split of the byte stream; not kept
   * @throws WarrenError `malformed` for an impossible length, `crypto` for a record that does not verify, and whatever
   *   `onRecord` throws
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.stopped) {
      if (this.length === 0) at = this.takeHeader(chunk, at);
      else at = this.takeBody(chunk, at);
    }
  }

  /** Takes nothing more, not even the rest of the chunk at hand. */
  stop(): void {
    this.stopped = true;
  }

  private takeHeader(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.headerBytes < RECORD_HEADER) this.header[this.headerBytes++] = chunk[at++]!;
    if (this.headerBytes < RECORD_HEADER) return at;
    const length = (this.header[0]! << 16) | (this.header[1]! << 8) | this.header[2]!;
    if (length < MIN_RECORD_LENGTH || length > MAX_RECORD_LENGTH) {
      throw new WarrenError('malformed', `record: a length of ${length}`, { wire: 'protocol' });
    }
    this.length = length;
    return at;
  }

  private takeBody(chunk: Uint8Array, from: number): number {
    if (this.assembled === 0 && chunk.length - from >= this.length) {
      const end = from + this.length;
      this.open(chunk.subarray(from, end));
      return end;
    }
    const end = Math.min(chunk.length, from + this.length - this.assembled);
    this.assemble(chunk.subarray(from, end));
    if (this.assembled === this.length) this.open(this.assembly.subarray(0, this.length));
    return end;
  }

  private assemble(piece: Uint8Array): void {
    if (this.assembly.length < this.length) {
      const grown = new Uint8Array(this.length);
      grown.set(this.assembly.subarray(0, this.assembled));
      this.assembly = grown;
    }
    this.assembly.set(piece, this.assembled);
    this.assembled += piece.length;
  }

  private open(ciphertext: Uint8Array): void {
    const plaintext = this.direction.key.open(this.direction.nonce(), this.header, ciphertext);
    this.direction.advance(ciphertext.length);
    this.headerBytes = 0;
    this.length = 0;
    this.assembled = 0;
    this.onRecord(plaintext);
  }

  /** Gives the assembly buffer back while no record is in the middle: an idle link holds no read buffer. */
  trim(): void {
    if (this.assembled === 0) this.assembly = EMPTY;
  }

  destroy(): void {
    this.stop();
    this.direction.key.destroy();
  }
}
