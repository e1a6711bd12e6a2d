import { Slab } from '../../protocol/slab.js';
import { assert, seed, suite } from '../helpers/suite.js';
import { Dice } from './session/virtual.js';

const test = suite('slab');
const SIZE = 1024;

test('pieces are zero, and no byte belongs to two of them', () => {
  const dice = new Dice(`${seed()} slab`);
  const slab = new Slab(SIZE);
  const pieces: Uint8Array[] = [];
  for (let i = 1; i < 200; i++) {
    const length = dice.between(0, 2 * SIZE);
    const piece = slab.piece(length);
    assert.is(piece.length, length);
    assert.ok(piece.every(byte => byte === 0));
    pieces.push(piece.fill(i));
    if (i % 50 === 0) slab.trim();
  }
  for (const [i, piece] of pieces.entries()) assert.ok(piece.every(byte => byte === i + 1));
});

test('small pieces share memory of a bounded size, large ones have their own', () => {
  const slab = new Slab(SIZE);
  const small = Array.from({ length: 100 }, () => slab.piece(SIZE / 4));
  assert.is(new Set(small.map(piece => piece.buffer)).size, 25);
  assert.ok(small.every(piece => piece.buffer.byteLength === SIZE));
  assert.is(slab.piece(SIZE / 4 + 1).buffer.byteLength, SIZE / 4 + 1);
  assert.is(slab.piece(10 * SIZE).buffer.byteLength, 10 * SIZE);
});

test('a copy does not change with what it was made of', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const copy = new Slab(SIZE).copy(bytes);
  bytes.fill(0);
  assert.equal(copy, Uint8Array.of(1, 2, 3));
});

test('after a trim nothing of the old memory is handed out', () => {
  const slab = new Slab(SIZE);
  const before = slab.piece(10);
  slab.trim();
  assert.is.not(slab.piece(10).buffer, before.buffer);
});

test.run();
