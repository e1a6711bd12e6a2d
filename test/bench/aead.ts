/**
 * CPU seconds that sealing and opening one GB takes, with the faster suite, and nothing else: piece by piece and with the
 * heap as daemons have it. `node dist/test/bench/aead.js`
 */
import { tuneHeap } from '../../daemon/lifecycle/heap.js';
import { EMPTY } from '../../protocol/bytes.js';
import { aeads } from '../../protocol/crypto/aead.js';
import { MAX_RECORD_PLAINTEXT } from '../../protocol/limits.js';

const GB = 1e9;
const RECORDS = 400;

function secondsPerGb(suite: keyof typeof aeads): number {
  const key = aeads[suite].key(new Uint8Array(32));
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  const plaintext = new Uint8Array(MAX_RECORD_PLAINTEXT);
  const pass = (from: number, records: number): void => {
    for (let i = 0; i < records; i++) {
      view.setUint32(4, from + i);
      const sealed = key.sealParts(nonce, EMPTY, [plaintext]);
      const opening = key.opener(nonce, EMPTY);
      for (const part of sealed.slice(0, -1)) opening.update(part);
      opening.final(sealed.at(-1)!);
    }
  };
  pass(0, RECORDS / 4);
  const before = process.cpuUsage();
  pass(RECORDS, RECORDS);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6 / ((RECORDS * MAX_RECORD_PLAINTEXT) / GB);
}

tuneHeap(process.versions.v8);
console.log(Math.min(secondsPerGb('AESGCM'), secondsPerGb('ChaChaPoly')));
