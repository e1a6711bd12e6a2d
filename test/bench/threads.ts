/**
 * CPU seconds that it takes to hand one GB to another thread and to hear that it was taken, in pieces of a record, and
 * nothing else: what a link in a thread of its own would cost more. `node dist/test/bench/threads.js`
 */
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { MAX_RECORD_PLAINTEXT } from '../../protocol/limits.js';

const GB = 1e9;
const PIECES = 2_000;
const WARM_UP = 500;
/** Pieces on their way at a time. */
const AT_ONCE = 4;

function measure(): void {
  const worker = new Worker(new URL(import.meta.url));
  let taken = 0;
  let before = process.cpuUsage();
  const hand = (): void => {
    const { buffer } = Buffer.allocUnsafeSlow(MAX_RECORD_PLAINTEXT);
    worker.postMessage(buffer, [buffer]);
  };
  worker.on('message', () => {
    taken++;
    if (taken === WARM_UP) before = process.cpuUsage();
    if (taken < WARM_UP + PIECES) return hand();
    if (taken > WARM_UP + PIECES) return;
    const { user, system } = process.cpuUsage(before);
    console.log((user + system) / 1e6 / ((PIECES * MAX_RECORD_PLAINTEXT) / GB));
    void worker.terminate();
  });
  for (let i = 0; i < AT_ONCE; i++) hand();
}

if (isMainThread) measure();
else parentPort?.on('message', (piece: ArrayBuffer) => parentPort?.postMessage(piece.byteLength));
