/**
 * `npm run bench:crypto`: ChaCha20-Poly1305 of libsodium against node:crypto, seal and open, by size; says where they
 * cross and whether CHACHA_CROSSOVER_BYTES fits this machine; then the costs of a handshake's other primitives.
 * The two are measured in turns, many short rounds, and the best round of each counts: what else the machine does
 * disturbs both alike.
 */
import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { EMPTY } from '../../protocol/bytes.js';
import { CHACHA_CROSSOVER_BYTES, aeads } from '../../protocol/crypto/aead.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { nodeAead } from '../../protocol/crypto/node.js';
import { sodiumChaChaPoly } from '../../protocol/crypto/sodium.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { HandshakeState } from '../../protocol/noise/index.js';

const SIZES = [32, 128, 512, 1024, 1536, 2048, 2560, 3072, 4096, 8192, 16384, 65536];
const ROUNDS = 15;
const ROUND_MS = 4;
/** The constant fits when neither side of it loses more than this by it. */
const TOLERANCE = 1.25;

type Job = () => unknown;

/** Microseconds per call in the best round of each job; the jobs take turns. */
function measure<K extends string>(jobs: Readonly<Record<K, Job>>): Record<K, number> {
  const names = Object.keys(jobs) as K[];
  const best = Object.fromEntries(names.map(name => [name, Infinity])) as Record<K, number>;
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) best[name] = Math.min(best[name], oneRound(jobs[name]));
  }
  return best;
}

function oneRound(job: Job): number {
  const start = performance.now();
  let calls = 0;
  let now = start;
  while (now - start < ROUND_MS) {
    for (let i = 0; i < 8; i++) job();
    calls += 8;
    now = performance.now();
  }
  return ((now - start) * 1000) / calls;
}

interface Row {
  readonly size: number;
  readonly sodium: number;
  readonly node: number;
  readonly aes: number;
}

type Side = 'seal' | 'open';

function measureSizes(side: Side): Row[] {
  const bytes = randomBytes(32);
  const keys = {
    sodium: sodiumChaChaPoly.key(bytes),
    node: nodeAead('ChaChaPoly').key(bytes),
    aes: aeads.AESGCM.key(bytes),
  };
  const nonce = new Uint8Array(12);
  return SIZES.map(size => {
    const plaintext = new Uint8Array(randomBytes(size));
    const job = (name: keyof typeof keys): Job => {
      const sealed = keys[name].seal(nonce, EMPTY, plaintext);
      return side === 'seal'
        ? () => keys[name].seal(nonce, EMPTY, plaintext)
        : () => keys[name].open(nonce, EMPTY, sealed);
    };
    return { size, ...measure({ sodium: job('sodium'), node: job('node'), aes: job('aes') }) };
  });
}

/** The size at which the ratio passes 1, by interpolation between the two sizes around it. */
function crossing(rows: readonly Row[]): number {
  const at = rows.findIndex(row => row.sodium > row.node);
  if (at < 0) return Infinity;
  if (at === 0) return 0;
  const [before, after] = [rows[at - 1]!, rows[at]!];
  const [low, high] = [before.sodium / before.node, after.sodium / after.node];
  return Math.round(before.size + ((1 - low) / (high - low)) * (after.size - before.size));
}

/** The most that the constant costs at any measured size: chosen over best. */
function worstChoice(side: Side, rows: readonly Row[]): { size: number; factor: number } {
  return rows
    .map(row => {
      const chosen = row.size <= CHACHA_CROSSOVER_BYTES[side] ? row.sodium : row.node;
      return { size: row.size, factor: chosen / Math.min(row.sodium, row.node) };
    })
    .reduce((a, b) => (b.factor > a.factor ? b : a));
}

function table(side: string, rows: readonly Row[]): void {
  console.log(`\n${side}, µs per record      libsodium   node:crypto   libsodium / node:crypto   (AES-256-GCM)`);
  for (const { size, sodium, node, aes } of rows) {
    const cells = [
      sodium.toFixed(1).padStart(18),
      node.toFixed(1).padStart(14),
      (sodium / node).toFixed(2).padStart(16),
    ];
    console.log(`${String(size).padStart(8)} bytes${cells.join('')}${aes.toFixed(1).padStart(23)}`);
  }
}

function judge(side: Side, rows: readonly Row[]): boolean {
  const cross = crossing(rows);
  const { size, factor } = worstChoice(side, rows);
  const fits = factor <= TOLERANCE;
  console.log(
    `${side}: they cross at about ${cross} bytes; CHACHA_CROSSOVER_BYTES.${side} = ${CHACHA_CROSSOVER_BYTES[side]} ` +
      `costs at most ×${factor.toFixed(2)} (at ${size} bytes)`,
  );
  return fits;
}

function handshakeJobs(primitives: Primitives): Record<string, Job> {
  const { x25519, mlkem768, ed25519, random, hash } = primitives;
  const [a, b] = [x25519.fromPrivate(random(32)), x25519.fromPrivate(random(32))];
  const kem = mlkem768.generate(random(64));
  const { ciphertext } = mlkem768.encapsulate(kem.publicKey, random(32));
  const signer = ed25519.fromSeed(random(32));
  const message = random(200);
  const signature = ed25519.sign(signer.privateKey, message);
  return {
    'X25519 key pair': () => x25519.fromPrivate(a.privateKey),
    'X25519 DH': () => x25519.dh(a.privateKey, b.publicKey),
    'ML-KEM-768 key pair': () => mlkem768.generate(random(64)),
    'ML-KEM-768 encapsulate': () => mlkem768.encapsulate(kem.publicKey, random(32)),
    'ML-KEM-768 decapsulate': () => mlkem768.decapsulate(kem.privateKey, ciphertext),
    'Ed25519 sign': () => ed25519.sign(signer.privateKey, message),
    'Ed25519 verify': () => ed25519.verify(signer.publicKey, message, signature),
    'Ed25519 key check': () => ed25519.isValidPublicKey(signer.publicKey),
    'SHA-256 of 200 bytes': () => hash.SHA256.hash(message),
    'XXhfs+psk0, both ends': () => bothEnds(primitives, a, b, message.subarray(0, 32)),
  };
}

function bothEnds(primitives: Primitives, a: HandshakeKey, b: HandshakeKey, psk: Uint8Array): void {
  const shared = {
    primitives,
    protocol: 'Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256',
    prologue: EMPTY,
    psks: [psk],
  };
  const initiator = new HandshakeState({ ...shared, role: 'initiator', s: a });
  const responder = new HandshakeState({ ...shared, role: 'responder', s: b });
  responder.readMessage(initiator.writeMessage(EMPTY));
  initiator.readMessage(responder.writeMessage(EMPTY));
  responder.readMessage(initiator.writeMessage(EMPTY));
  initiator.split();
  responder.split();
}

type HandshakeKey = ReturnType<Primitives['x25519']['fromPrivate']>;

const primitives = await loadPrimitives();
console.log(`node ${process.version}, openssl ${process.versions.openssl}, ${cpus()[0]?.model ?? 'unknown processor'}`);
let fits = true;
for (const side of ['seal', 'open'] as const) {
  const rows = measureSizes(side);
  table(side, rows);
  if (!judge(side, rows)) fits = false;
}
console.log(`\nthe constants ${fits ? 'fit' : 'do not fit'} this machine (up to ×${TOLERANCE} is a fit)`);
console.log('\nhandshake, µs');
for (const [name, us] of Object.entries(measure(handshakeJobs(primitives)))) {
  console.log(`${name.padEnd(26)}${us.toFixed(1).padStart(10)}`);
}
