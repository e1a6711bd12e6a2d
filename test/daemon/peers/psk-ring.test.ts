import { randomBytes } from 'node:crypto';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { secretHash } from '../../../protocol/identity/network-secret.js';
import { PskRing } from '../../../daemon/peers/psk-ring.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('pre-shared secrets');
const primitives = await loadPrimitives();
const secret = (epoch: number): { epoch: number; secret: Uint8Array } => ({
  epoch,
  secret: new Uint8Array(randomBytes(32)),
});
const open = (record: { epoch: number; secret: Uint8Array }, current: boolean) => ({
  epoch: record.epoch,
  secretHash: secretHash(primitives.hash.SHA256, record.secret),
  current,
  until: Infinity,
});

test('the one in force opens the network, older ones a catch-up, unknown ones nothing', () => {
  const ring = new PskRing(primitives);
  const [a, b, c] = [secret(0), secret(1), secret(2)];
  const held = ring.held([a, b, c], [open(b, true), open(a, false)]);
  assert.equal(
    ring.all(held, [{ id: 'i', secret: c.secret }]).map(k => [k.psk.kind, k.psk.id]),
    [['network', undefined], ['old-network', undefined], ['invite', 'i']], // prettier-ignore
  );
});

test('who was away and lacks the one in force dials with an old one, as what it is', () => {
  const ring = new PskRing(primitives);
  const [old, fresh] = [secret(0), secret(1)];
  const held = ring.held([old], [open(fresh, true), open(old, false)]);
  assert.equal(
    ring.all(held, []).map(k => k.psk.kind),
    ['old-network'],
  );
});

test('keys are derived once', () => {
  const ring = new PskRing(primitives);
  const a = secret(0);
  const held = ring.held([a], [open(a, true)]);
  assert.is(ring.all(held, [])[0], ring.all(held, [])[0]);
});

test.run();
