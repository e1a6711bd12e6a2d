/** The public vectors as tests, and the command that runs a file of them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { packageRoot } from '../helpers/root.js';
import { secondPrimitives } from '../helpers/second.js';
import { assert, isFull, suite } from '../helpers/suite.js';
import { noiseRuns, primitiveRuns } from './all.js';
import { runNoiseVectors } from './noise.js';

const test = suite('vectors');
const FILE = join(packageRoot(), 'test', 'vectors', 'noise-cacophony-25519.json');
const OWN_FILE = join(packageRoot(), 'test', 'vectors', 'noise-xxhfs-psk0.json');
const vectorsIn = (file: string): Record<string, unknown>[] =>
  (JSON.parse(readFileSync(file, 'utf8')) as { vectors: Record<string, unknown>[] }).vectors;

const runs = [...(await noiseRuns()), ...primitiveRuns()];
for (const { title, run } of runs) {
  if (!isFull && title.startsWith('noise-cacophony') && title.includes('second')) continue;
  test(title, () => {
    const { passed, failures } = run();
    assert.equal(failures, []);
    assert.ok(passed > 0);
  });
}

test('a sample of the Noise vectors on the second primitives', () => {
  const sample = vectorsIn(FILE).filter((_, i) => i % 8 === 0);
  const { passed, failures } = runNoiseVectors(sample, secondPrimitives());
  assert.equal(failures, []);
  assert.is(passed, 59);
});

// ── a wrong vector is noticed ──────────────────────────────────────────────────────────────────────────────────────

const primitives = await loadPrimitives();
type Vector = Record<string, unknown> & { messages: { payload: string; ciphertext: string }[] };

function sampleOf(name: string): Vector {
  const vector = [...vectorsIn(FILE), ...vectorsIn(OWN_FILE)].find(v => v['protocol_name'] === name);
  return structuredClone(vector) as Vector;
}

function outcomeOf(change: (vector: Vector) => void, name = 'Noise_IKpsk2_25519_ChaChaPoly_SHA256'): string {
  const vector = sampleOf(name);
  change(vector);
  const { passed, failures } = runNoiseVectors([vector], primitives);
  assert.is(passed + failures.length, 1);
  return failures[0] ?? 'passed';
}

test('an unchanged vector passes', () =>
  assert.is(
    outcomeOf(() => undefined),
    'passed',
  ));

for (const i of [0, 1, 2, 5]) {
  test(`a changed ciphertext of message ${i} fails`, () => {
    const failure = outcomeOf(vector => {
      const message = vector.messages[i]!;
      message.ciphertext = message.ciphertext.replace(/.$/, last => (last === '0' ? '1' : '0'));
    });
    assert.match(failure, `message ${i} differs`);
  });
}

test('a changed handshake hash, prologue, key or PSK fails', () => {
  assert.match(
    outcomeOf(v => (v['handshake_hash'] = '00'.repeat(32))),
    'handshake hash differs',
  );
  assert.is.not(
    outcomeOf(v => (v['resp_prologue'] = '00')),
    'passed',
  );
  assert.is.not(
    outcomeOf(v => (v['init_static'] = '01'.repeat(32))),
    'passed',
  );
  assert.is.not(
    outcomeOf(v => (v['resp_psks'] = ['01'.repeat(32)])),
    'passed',
  );
  const kem = 'Noise_XXhfs+psk0_25519+MLKEM768_AESGCM_SHA256';
  assert.is(
    outcomeOf(() => undefined, kem),
    'passed',
  );
  assert.is.not(
    outcomeOf(v => (v['init_kem_seed'] = '01'.repeat(64)), kem),
    'passed',
  );
  assert.is.not(
    outcomeOf(v => (v['resp_kem_message'] = '01'.repeat(32)), kem),
    'passed',
  );
});

test('names that cannot be run count as failed', () => {
  for (const name of ['Noise_XX_448_ChaChaPoly_SHA256', 'Noise_XXnone_25519_ChaChaPoly_SHA256', '', 'hello', 7]) {
    assert.is.not(
      outcomeOf(v => (v['protocol_name'] = name)),
      'passed',
    );
  }
  const { passed, failures } = runNoiseVectors([7, null, 'x', {}, []], primitives);
  assert.is(passed, 0);
  assert.is(failures.length, 5);
});

test('the hash may be absent or empty, so may PSKs and keys that are not needed', () => {
  assert.is(
    outcomeOf(v => delete v['handshake_hash']),
    'passed',
  );
  assert.is(
    outcomeOf(v => (v['handshake_hash'] = '')),
    'passed',
  );
  const plain = 'Noise_XX_25519_AESGCM_SHA512';
  const noPsks = (v: Vector): void => void Object.assign(v, { init_psks: [], resp_psks: null, name: 'a title' });
  assert.is(outcomeOf(noPsks, plain), 'passed');
  assert.is(
    outcomeOf(v => (v['init_remote_static'] = v['resp_static']), plain),
    'passed',
  );
});

test('older spellings: `name`, one `init_psk`', () => {
  const change = (v: Vector): void => {
    const [psk] = v['init_psks'] as string[];
    Object.assign(v, { name: v['protocol_name'], init_psk: psk, resp_psk: psk });
    for (const key of ['protocol_name', 'init_psks', 'resp_psks']) delete v[key];
  };
  assert.is(outcomeOf(change), 'passed');
});

test('any number of messages, but a hash that cannot be reached fails', () => {
  const cut = (length: number) => (v: Vector) => void (v.messages.length = length);
  assert.is(outcomeOf(cut(2)), 'passed');
  assert.is(outcomeOf(cut(3)), 'passed');
  assert.match(outcomeOf(cut(1)), 'too few messages');
  const cutWithoutHash = (v: Vector): void => {
    v.messages.length = 1;
    delete v['handshake_hash'];
  };
  assert.is(outcomeOf(cutWithoutHash), 'passed');
});

// ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────

const COMMAND = fileURLToPath(import.meta.url).replace(/vectors\.test\.(.s)$/, 'run.$1');

function command(...args: string[]): { status: number | null; lines: string[]; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, COMMAND, ...args], {
    encoding: 'utf8',
    env: { ...process.env, INIT_CWD: folder },
  });
  return { status, lines: stdout.trimEnd().split('\n'), stderr };
}

let folder = '';
test.before(() => void (folder = mkdtempSync(join(tmpdir(), 'warren-vectors-'))));
test.after(() => rmSync(folder, { recursive: true }));

test('the command closes with its totals, exit 0 or 1', () => {
  const [good, bad] = [sampleOf('Noise_NN_25519_ChaChaPoly_SHA256'), sampleOf('Noise_NN_25519_ChaChaPoly_SHA256')];
  bad['protocol_name'] = 'Noise_NN_448_ChaChaPoly_SHA256';
  writeFileSync(join(folder, 'good.json'), JSON.stringify({ vectors: [good, good] }));
  writeFileSync(join(folder, 'mixed.json'), JSON.stringify({ vectors: [good, bad] }));
  const fine = command('good.json');
  assert.equal([fine.status, fine.lines.at(-1)], [0, '2 passed, 0 failed']);
  const mixed = command(join(folder, 'mixed.json'));
  assert.equal([mixed.status, mixed.lines.at(-1)], [1, '1 passed, 1 failed']);
});

test('a file that cannot be read, or holds no vectors: one sentence, exit 1; a bad command line: exit 2', () => {
  writeFileSync(join(folder, 'torn.json'), '{"vectors": [');
  writeFileSync(join(folder, 'other.json'), '{"testGroups": []}');
  for (const file of ['absent.json', 'torn.json', 'other.json', '.']) {
    const { status, lines, stderr } = command(file);
    assert.equal([status, lines], [1, ['']]);
    assert.match(stderr, /^[^\n]+\.\n$/);
  }
  assert.is(command('a', 'b').status, 2);
  assert.is(command('--all').status, 2);
});

test.run();
