import { compare, toHex } from '../../../protocol/bytes.js';
import { cborMap, decodeCanonical, encodeCanonical } from '../../../protocol/identity/cbor.js';
import type { CborKey, CborMap, CborValue } from '../../../protocol/identity/cbor.js';
import { KeyLog } from '../../../protocol/identity/key-log.js';
import type { AppendResult } from '../../../protocol/identity/key-log.js';
import { labelledHash } from '../../../protocol/identity/node-id.js';
import { MAX_VERDICTS, Verifier, decodeEnvelope, encodeEnvelope, signBody } from '../../../protocol/identity/signed.js';
import { keyState, standingOf } from '../../../protocol/identity/standing.js';
import {
  MAX_STATEMENTS,
  MAX_STATEMENT_BYTES,
  STATEMENT_HASH_LABEL,
  STATEMENT_LABEL,
  createInception,
  createRotation,
  decodeFork,
  decodeStatement,
  encodeStatementBody,
  keyCommitment,
  makeFork,
} from '../../../protocol/identity/statement.js';
import type { NewKeys, Statement, StatementBody } from '../../../protocol/identity/statement.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { START, flipBit, primitives, random, thrown } from './helpers.js';

const test = suite('key log');
const { ed25519 } = primitives;
const verifier = new Verifier(primitives);

const decode = (bytes: Uint8Array): Statement => decodeStatement(primitives, bytes);

/** A node with its log and the keys of every statement. */
class Chain {
  readonly keys: NewKeys[] = [createInception(primitives, { now: START })];
  readonly log = KeyLog.start(verifier, this.keys[0]!.statement);

  get newest(): NewKeys {
    return this.keys[this.keys.length - 1]!;
  }

  next(reason: 'routine' | 'compromised' = 'routine', now = START): NewKeys {
    const { next, signing } = this.newest;
    return createRotation(primitives, { head: this.log.head, reason, next, old: signing.privateKey, now });
  }

  grow(reason: 'routine' | 'compromised' = 'routine', now = START): AppendResult {
    const keys = this.next(reason, now);
    const result = this.log.append(keys.statement);
    if (result.status === 'added') this.keys.push(keys);
    return result;
  }

  /** The next statement, with a body that was changed before it was rightly signed. */
  forged(change: Partial<StatementBody>, signers: { key?: Uint8Array; old?: Uint8Array | null } = {}): Uint8Array {
    const honest = decode(this.next().statement);
    const body = encodeStatementBody({ ...honest, ...change });
    const signature = signBody(ed25519, signers.key ?? this.newest.next, STATEMENT_LABEL, body);
    const old = signers.old === undefined ? this.newest.signing.privateKey : signers.old;
    return encodeEnvelope({
      body,
      signature,
      ...(old && { oldSignature: signBody(ed25519, old, STATEMENT_LABEL, body) }),
    });
  }
}

const why = (result: AppendResult): string => (result.status === 'refused' ? result.why : result.status);

test('statement 0 gives the node its ID', () => {
  const keys = createInception(primitives, { now: START });
  const statement = decode(keys.statement);
  assert.equal(statement.node, keys.nodeId);
  assert.equal(statement.hash, keys.nodeId);
  assert.is(statement.seq, 0);
  assert.is(statement.time, START);
  assert.equal(statement.signingKey, keys.signing.publicKey);
  assert.equal(statement.noiseKey, keys.noise.publicKey);
  assert.equal(statement.next, keyCommitment(primitives, ed25519.fromSeed(keys.next).publicKey));
  const { body } = decodeEnvelope(keys.statement, 'x', 1000, 2);
  assert.equal(labelledHash(primitives.hash.SHA256, STATEMENT_HASH_LABEL, body), keys.nodeId);
  assert.not((decodeCanonical(body, 'x', 1000) as CborMap).has(1), 'no node in it');
});

test('an inception commits to a next key from outside', () => {
  const next = random(32);
  const keys = createInception(primitives, { now: START, next });
  assert.equal(decode(keys.statement).next, keyCommitment(primitives, ed25519.fromSeed(next).publicKey));
});

test('routine and compromised rotations follow one another', () => {
  const chain = new Chain();
  for (const reason of ['routine', 'compromised', 'routine', 'routine'] as const)
    assert.is(chain.grow(reason).status, 'added');
  assert.is(chain.log.head.seq, 4);
  assert.is(chain.log.length, 5);
  assert.equal(chain.log.head.signingKey, ed25519.fromSeed(chain.keys[3]!.next).publicKey);
  assert.is(chain.log.suffix(3).length, 2);
  assert.is(chain.log.suffix(0, 2).length, 2);
  assert.equal(chain.log.at(2)!.bytes, chain.keys[2]!.statement);
  assert.is(chain.log.append(chain.keys[2]!.statement).status, 'known');
});

test('a log goes over to another host whole', () => {
  const chain = new Chain();
  for (let i = 0; i < 5; i++) chain.grow(i % 2 ? 'compromised' : 'routine');
  const copy = KeyLog.start(new Verifier(primitives), chain.log.suffix(0)[0]!);
  for (const bytes of chain.log.suffix(1)) assert.is(copy.append(bytes).status, 'added');
  assert.equal(copy.head.hash, chain.log.head.hash);
});

test('time moves on even when the clock goes back', () => {
  const chain = new Chain();
  chain.grow('routine', START - 1_000_000);
  assert.is(chain.log.head.time, START + 1);
  chain.grow('routine', START + 500);
  assert.is(chain.log.head.time, START + 500);
});

test('a thief of the current key cannot rotate', () => {
  const chain = new Chain();
  const { signing } = chain.newest;
  const thief = chain.forged({ signingKey: signing.publicKey }, { key: signing.privateKey });
  assert.match(why(chain.log.append(thief)), /not the committed key/);
  const own = ed25519.fromSeed(random(32));
  const other = chain.forged({ signingKey: own.publicKey }, { key: own.privateKey });
  assert.match(why(chain.log.append(other)), /not the committed key/);
  const wrongSignature = chain.forged({}, { key: signing.privateKey });
  assert.match(why(chain.log.append(wrongSignature)), /signature is wrong/);
  assert.match(
    thrown(() => createRotation(primitives, { head: chain.log.head, reason: 'compromised', next: random(32), now: 0 })),
    /not the one/,
  );
});

test('a routine rotation needs the old key, one for a compromise does not', () => {
  const chain = new Chain();
  const wrong = chain.forged({}, { old: random(32) });
  assert.match(why(chain.log.append(wrong)), /old key did not sign/);
  assert.match(why(chain.log.append(chain.forged({}, { old: null }))), /number of signatures/);
  const twice = chain.forged({ reason: 'compromised' });
  assert.match(why(chain.log.append(twice)), /number of signatures/);
  const { next } = chain.newest;
  const options = { head: chain.log.head, next, now: START } as const;
  assert.match(
    thrown(() => createRotation(primitives, { ...options, reason: 'routine' })),
    /needs the signing key in use/,
  );
  assert.match(
    thrown(() => createRotation(primitives, { ...options, reason: 'routine', old: random(32) })),
    /needs the signing key/,
  );
  assert.is(
    chain.log.append(createRotation(primitives, { ...options, reason: 'compromised' }).statement).status,
    'added',
  );
});

test('a statement that does not fit is refused, though it is rightly signed', () => {
  const chain = new Chain();
  chain.grow();
  const { head } = chain.log;
  const cases: readonly (readonly [Partial<StatementBody>, RegExp])[] = [
    [{ previous: random(32) }, /follows another statement/],
    [{ previous: chain.log.at(0)!.hash }, /follows another statement/],
    [{ node: random(32) }, /of another node/],
    [{ time: head.time }, /time is not after/],
    [{ time: 0 }, /time is not after/],
    [{ seq: 3 }, /missing/],
    [{ seq: 1 }, /follows another statement/],
    [{ seq: MAX_STATEMENTS }, /at most 4095/],
    [{ reason: 'inception' }, /reason inception at seq 2/],
  ];
  for (const [change, expected] of cases) assert.match(why(chain.log.append(chain.forged(change))), expected);
  assert.is(chain.log.length, 2);
  assert.is(chain.log.forkedAt, undefined);
});

test('a gap is told from what is wrong', () => {
  const chain = new Chain();
  const copy = KeyLog.start(verifier, chain.keys[0]!.statement);
  chain.grow();
  chain.grow();
  const result = copy.append(chain.keys[2]!.statement);
  assert.ok(result.status === 'refused' && result.gap);
  const wrong = copy.append(new Chain().keys[0]!.statement);
  assert.ok(wrong.status === 'refused' && !wrong.gap);
});

test('keys that are not valid do not enter, though everything else is right', () => {
  const weakEd = [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), new Uint8Array(32).fill(255)];
  for (const signingKey of weakEd) {
    const body = encodeStatementBody({
      seq: 0,
      signingKey,
      noiseKey: random(32),
      next: random(32),
      time: 1,
      reason: 'inception',
    });
    const bytes = encodeEnvelope({ body, signature: random(64) });
    assert.throws(() => KeyLog.start(verifier, bytes), /signature is wrong|not valid/);
  }
  const p = Uint8Array.of(0xed, ...new Uint8Array(30).fill(255), 0x7f);
  const weakX = [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), p, new Uint8Array(32).fill(255)];
  for (const noiseKey of weakX) {
    const chain = new Chain();
    assert.match(why(chain.log.append(chain.forged({ noiseKey }))), /a key in it is not valid/);
  }
  // Just below p is a key like any other.
  const chain = new Chain();
  const largest = Uint8Array.of(0xe9, ...new Uint8Array(30).fill(255), 0x7f);
  assert.is(chain.log.append(chain.forged({ noiseKey: largest })).status, 'added');
});

test('a signing key outside the prime-order subgroup does not enter, though its holder signs with it', () => {
  // A statement 0 whose key fails isValidPublicKey only: the verdict on the signature is made to pass.
  const lenient = new Verifier({
    ...primitives,
    ed25519: {
      ...ed25519,
      fromSeed: s => ed25519.fromSeed(s),
      sign: (k, m) => ed25519.sign(k, m),
      verify: () => true,
      isValidPublicKey: k => ed25519.isValidPublicKey(k),
    },
  });
  const mixed = new Uint8Array(32);
  mixed[31] = 0x80;
  const body = encodeStatementBody({
    seq: 0,
    signingKey: mixed,
    noiseKey: createInception(primitives, { now: 1 }).noise.publicKey,
    next: random(32),
    time: 1,
    reason: 'inception',
  });
  assert.throws(
    () => KeyLog.start(lenient, encodeEnvelope({ body, signature: random(64) })),
    /a key in it is not valid/,
  );
});

test('a first statement stands by itself', () => {
  const { statement } = createInception(primitives, { now: START });
  const chain = new Chain();
  chain.grow();
  assert.throws(() => KeyLog.start(verifier, chain.log.head.bytes), /not a first statement/);
  assert.throws(() => KeyLog.start(verifier, flipBit(statement, 8 * (statement.length - 1))), /signature is wrong/);
});

test('no bit of a statement can be changed', () => {
  for (const reason of ['routine', 'compromised'] as const) {
    const chain = new Chain();
    const next = chain.next(reason).statement;
    for (let bit = 0; bit < next.length * 8; bit++) {
      const result = chain.log.append(flipBit(next, bit));
      if (result.status !== 'refused') throw new Error(`bit ${bit} of a ${reason} statement: ${result.status}`);
    }
    assert.is(chain.log.append(next).status, 'added');
  }
  const first = createInception(primitives, { now: START }).statement;
  for (let bit = 0; bit < first.length * 8; bit++) assert.throws(() => KeyLog.start(verifier, flipBit(first, bit)));
});

test('truncated, extended, over-long and nested garbage is refused', () => {
  const chain = new Chain();
  const next = chain.next().statement;
  for (let n = 0; n < next.length; n++) assert.is(chain.log.append(next.subarray(0, n)).status, 'refused');
  assert.is(chain.log.append(Uint8Array.of(...next, 0)).status, 'refused');
  assert.match(why(chain.log.append(new Uint8Array(MAX_STATEMENT_BYTES + 1))), /longer than 1024/);
  assert.is(chain.log.append(new Uint8Array(1024).fill(0x81)).status, 'refused');
  assert.is(chain.log.append(new Uint8Array(10_000_000)).status, 'refused');
});

test('a body with a field more, or of a later version, is refused though it is rightly signed', () => {
  const chain = new Chain();
  const { body } = decode(chain.next().statement).envelope;
  const resigned = (key: CborKey, value: CborValue | undefined): Uint8Array => {
    const map = new Map(decodeCanonical(body, 'x', 2000) as CborMap);
    if (value === undefined) map.delete(key);
    else map.set(key, value);
    const changed = encodeCanonical(map);
    const sign = (seed: Uint8Array): Uint8Array => signBody(ed25519, seed, STATEMENT_LABEL, changed);
    const { next, signing } = chain.newest;
    return encodeEnvelope({ body: changed, signature: sign(next), oldSignature: sign(signing.privateKey) });
  };
  assert.match(why(chain.log.append(resigned(9, 1))), /unknown field 9/);
  assert.match(why(chain.log.append(resigned(0, 2))), /version 2 is not known/);
  assert.match(why(chain.log.append(resigned(8, 3))), /reason is 3/);
  for (let key = 0; key <= 8; key++) assert.match(why(chain.log.append(resigned(key, undefined))), /missing/);
  const envelope = encodeCanonical(cborMap([[0, body], [1, random(64)], [3, 1]])); // prettier-ignore
  assert.match(why(chain.log.append(envelope)), /unknown field 3/);
});

test('two statements with one seq are a fork: the first seen stays, the proof is kept', () => {
  const chain = new Chain();
  const rival = chain.next('compromised');
  chain.grow();
  const result = chain.log.append(rival.statement);
  assert.ok(result.status === 'fork');
  assert.is(chain.log.forkedAt, 1);
  assert.equal(chain.log.head.bytes, chain.newest.statement);
  assert.equal(chain.log.undisputedHead.hash, chain.log.at(0)!.hash);
  assert.is(chain.log.append(rival.statement).status, 'known', 'the same once more is no news');
  // Frozen, on both branches.
  assert.match(why(chain.grow()), /forked at seq 1/);

  const proof = decodeFork(primitives, result.status === 'fork' ? result.fork.bytes : random(1));
  const third = KeyLog.start(verifier, chain.keys[0]!.statement);
  assert.is(third.addFork(proof).status, 'fork');
  assert.is(third.addFork(proof).status, 'known');
  assert.is(third.head.seq, 0, 'a log that saw neither follows neither');
  assert.match(why(third.append(rival.statement)), /known/);
});

test('an invalid rival is no fork', () => {
  const chain = new Chain();
  const forged = chain.forged({}, { key: random(32) });
  chain.grow();
  assert.match(why(chain.log.append(forged)), /signature is wrong/);
  assert.is(chain.log.forkedAt, undefined);
});

test('of many branches every host keeps the same two as proof', () => {
  const chain = new Chain();
  const branches = Array.from({ length: 5 }, () => chain.next('compromised').statement);
  const orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]]; // prettier-ignore
  const proofs = orders.map(order => {
    const log = KeyLog.start(verifier, chain.keys[0]!.statement);
    for (const i of order) log.append(branches[i]!);
    return toHex(log.forkProofs[0]!.bytes);
  });
  assert.is(new Set(proofs).size, 1);
  const sorted = branches.map(b => decode(b)).sort((a, b) => compare(a.hash, b.hash));
  assert.is(proofs[0], toHex(makeFork(sorted[0]!, sorted[1]!).bytes));
});

test('a fork proof that proves nothing is refused', () => {
  const chain = new Chain();
  const [a, b] = [chain.next('compromised'), chain.next('compromised')].map(k => decode(k.statement)) as [
    Statement,
    Statement,
  ];
  const good = makeFork(a, b).bytes;
  const pack = (x: Uint8Array, y: Uint8Array): Uint8Array => encodeCanonical(cborMap([[0, x], [1, y]])); // prettier-ignore
  const [first, second] = compare(a.hash, b.hash) < 0 ? [a, b] : [b, a];
  const bad = [
    pack(second.bytes, first.bytes),
    pack(a.bytes, a.bytes),
    pack(chain.keys[0]!.statement, chain.keys[0]!.statement),
    pack(first.bytes, new Chain().next().statement),
  ];
  for (const bytes of bad)
    assert.match(
      thrown(() => decodeFork(primitives, bytes)),
      /fork proof/,
    );
  for (let bit = 0; bit < good.length * 8; bit++) {
    const log = KeyLog.start(verifier, chain.keys[0]!.statement);
    const flipped = flipBit(good, bit);
    let status = 'refused';
    try {
      status = log.addFork(decodeFork(primitives, flipped)).status;
    } catch {
      continue;
    }
    if (status !== 'refused') throw new Error(`bit ${bit}: ${status}`);
  }
  assert.match(why(new Chain().log.addFork(decodeFork(primitives, good))), /another node/);
  const later = new Chain();
  const early = KeyLog.start(verifier, later.keys[0]!.statement);
  later.grow();
  const pair = [later.next('compromised'), later.next('compromised')].map(k => decode(k.statement)) as [
    Statement,
    Statement,
  ];
  const gap = early.addFork(makeFork(...pair));
  assert.ok(gap.status === 'refused' && gap.gap);
});

test('a verdict lets the log go on along the branch that stands', () => {
  const chain = new Chain();
  const rival = chain.next('compromised');
  chain.grow();
  chain.grow();
  chain.log.append(rival.statement);
  const standing = decode(rival.statement);
  chain.log.settle(new Map([[1, standing.hash]]));
  assert.is(chain.log.forkedAt, undefined);
  assert.equal(chain.log.head.hash, standing.hash);
  assert.is(chain.log.lastCompromised(), 1);
  // The fallen branch does not come back, and the standing one grows.
  assert.match(why(chain.log.append(chain.keys[2]!.statement)), /follows another|committed/);
  assert.is(chain.log.append(chain.keys[1]!.statement).status, 'known');
  const on = createRotation(primitives, {
    head: standing,
    reason: 'routine',
    next: rival.next,
    old: rival.signing.privateKey,
    now: START,
  });
  assert.is(chain.log.append(on.statement).status, 'added');
  // Withdrawn, the fork is open again.
  chain.log.settle(new Map());
  assert.is(chain.log.forkedAt, 1);
  // A verdict for a seq that never forked does nothing.
  chain.log.settle(new Map([[1, standing.hash], [2, random(32)]])); // prettier-ignore
  assert.is(chain.log.head.seq, 2);
  assert.is(chain.log.verdicts.size, 1);
});

test('forks of the branch that falls fall with it', () => {
  const chain = new Chain();
  const rival = chain.next('compromised');
  chain.grow();
  const second = chain.next('compromised');
  chain.grow();
  chain.log.append(second.statement);
  chain.log.append(rival.statement);
  assert.equal(chain.log.forkProofs.map(f => f.seq), [1, 2]); // prettier-ignore
  assert.is(chain.log.forkedAt, 1, 'the lowest open fork decides');
  chain.log.settle(new Map([[1, decode(rival.statement).hash]]));
  assert.equal(chain.log.forkProofs.map(f => f.seq), [1]); // prettier-ignore
  assert.is(chain.log.forkedAt, undefined);
});

test('a verdict for a branch that is not at hand waits for it', () => {
  const chain = new Chain();
  const branches = Array.from({ length: 3 }, () => chain.next('compromised').statement);
  const sorted = [...branches].sort((a, b) => compare(decode(a).hash, decode(b).hash));
  const log = KeyLog.start(verifier, chain.keys[0]!.statement);
  log.append(sorted[0]!);
  log.append(sorted[1]!);
  log.settle(new Map([[1, decode(sorted[2]!).hash]]));
  assert.is(log.head.seq, 0);
  assert.match(why(log.append(sorted[0]!)), /not the branch that stands/);
  assert.is(log.append(sorted[2]!).status, 'added');
});

test('whose word stands', () => {
  const chain = new Chain();
  chain.grow('routine', START + 1000);
  chain.grow('routine', START + 2000);
  const at = (seq: number, time: number): string => standingOf(chain.log, seq, time).state;
  assert.is(at(2, START + 9000), 'current');
  assert.is(at(3, START), 'unknown');
  assert.is(at(1, START + 2000), 'superseded');
  assert.is(at(1, START + 2001), 'void');
  assert.equal(standingOf(chain.log, 0, START), { state: 'superseded', at: START + 1000 });
  assert.is(keyState(chain.log, 1), 'superseded');
  assert.is(keyState(chain.log, 2), 'current');
  assert.is(keyState(chain.log, 3), 'unknown');
  chain.grow('compromised', START + 3000);
  for (const seq of [0, 1, 2]) {
    assert.is(at(seq, START), 'void');
    assert.is(keyState(chain.log, seq), 'compromised');
  }
  assert.is(at(3, START + 3000), 'current');
  chain.grow('routine', START + 4000);
  assert.is(at(3, START + 3000), 'superseded', 'a later routine rotation is no compromise');
  assert.is(at(2, START), 'void', 'and does not make good what was compromised');
});

test('whose word stands when the log is forked', () => {
  for (const reason of ['routine', 'compromised'] as const) {
    const chain = new Chain();
    chain.grow('routine', START + 1000);
    const rival = chain.next(reason, START + 1500);
    chain.grow('routine', START + 2000);
    chain.log.append(rival.statement);
    const at = (seq: number, time: number): string => standingOf(chain.log, seq, time).state;
    assert.is(at(2, START + 2000), 'void');
    assert.is(at(1, START + 1501), 'void');
    assert.is(at(1, START + 1500), reason === 'routine' ? 'superseded' : 'void');
    assert.is(at(0, START + 500), reason === 'routine' ? 'superseded' : 'void');
  }
});

test('verdicts on signatures are remembered, failures and too much are not', () => {
  let judged = 0;
  const counting = new Verifier({
    ...primitives,
    ed25519: { ...ed25519, verify: (k, m, s) => (judged++, ed25519.verify(k, m, s)) },
  });
  const { publicKey, privateKey } = ed25519.fromSeed(random(32));
  const sign = (i: number): [Uint8Array, Uint8Array] => {
    const body = Uint8Array.of(i >> 8, i & 255);
    return [body, signBody(ed25519, privateKey, 'x', body)];
  };
  const [body, signature] = sign(0);
  for (let i = 0; i < 3; i++) assert.ok(counting.verify(publicKey, 'x', body, signature));
  assert.is(judged, 1);
  for (let i = 0; i < 3; i++) assert.not(counting.verify(publicKey, 'y', body, signature));
  assert.is(judged, 4);
  let asked = 0;
  const full = new Verifier({ ...primitives, ed25519: { ...ed25519, verify: () => (asked++, true) } });
  const ask = (i: number): boolean => full.verify(publicKey, 'x', Uint8Array.of(i >> 8, i & 255), signature);
  for (let i = 0; i < MAX_VERDICTS + 10; i++) ask(i);
  ask(MAX_VERDICTS + 9);
  assert.is(asked, MAX_VERDICTS + 10, 'the newest is remembered');
  ask(0);
  assert.is(asked, MAX_VERDICTS + 11, 'the oldest is forgotten');
});

test('a full log is made, refused at its end, and judged in bounded time', () => {
  const length = full(60, MAX_STATEMENTS);
  const chain = new Chain();
  while (chain.log.length < length) if (chain.grow().status !== 'added') throw new Error('refused');
  const fresh = KeyLog.start(new Verifier(primitives), chain.keys[0]!.statement);
  const begin = performance.now();
  for (const bytes of chain.log.suffix(1)) if (fresh.append(bytes).status !== 'added') throw new Error('refused');
  const perStatement = (performance.now() - begin) / length;
  assert.ok(perStatement < 20, `${perStatement} ms per statement`);
  assert.equal(fresh.head.hash, chain.log.head.hash);
  const head = { ...chain.log.head, seq: MAX_STATEMENTS - 1 };
  const { next, signing } = chain.newest;
  assert.match(thrown(() => createRotation(primitives, { head, reason: 'routine', next, old: signing.privateKey, now: 0 })), /ends at 4096/);
}, { deadline: full(20_000, 300_000) }); // prettier-ignore

test.run();
