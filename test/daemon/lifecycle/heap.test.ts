/** What passes through costs no full collections, under whatever Node this runs. */
import { run } from '../../helpers/hosts.js';
import { packageRoot } from '../../helpers/root.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('the heap under bulk');

const IMPORT = `import { tuneHeap } from '${packageRoot()}/dist/daemon/lifecycle/heap.js';`;
/** This V8 counts buffers on an account of their own, and has the flag that puts them together with the heap. */
const [major, minor] = process.versions.v8.split('.').map(Number);
const hasFlag = major! > 13 || (major === 13 && minor! >= 6);

/** 640 MiB in buffers, 20 MiB of them alive at a time; prints how many full collections that took. */
const BULK = `
import { PerformanceObserver, constants } from 'node:perf_hooks';
let full = 0;
new PerformanceObserver(list => {
  for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full++;
}).observe({ entryTypes: ['gc'] });
const alive = [];
let turns = 0;
const turn = () => {
  for (let i = 0; i < 10; i++) {
    alive.push(Buffer.allocUnsafeSlow(256 * 1024));
    if (alive.length > 80) alive.shift();
  }
  if (++turns < 256) setImmediate(turn);
  else setTimeout(() => console.log(full), 50);
};
turn();
`;

const module = (code: string): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, ['--input-type=module', '-e', code]);

test('a V8 is asked for nothing that it does not know', async () => {
  const asked = async (v8: string): Promise<string> => (await module(`${IMPORT} tuneHeap('${v8}');`)).stderr;
  assert.is(await asked(process.versions.v8), '');
  assert.is(await asked('13.5.999'), '');
  // Only an old one says so when it is asked.
  for (const v8 of ['13.6.0', '14.0.1'])
    if (hasFlag) assert.is(await asked(v8), '');
    else assert.match(await asked(v8), '--external-memory-accounted-in-global-limit');
});

const buffersSetOffNothing = async (): Promise<void> => {
  const full = async (before: string): Promise<number> => Number((await module(before + BULK)).stdout);
  const [untuned, tuned] = [await full(''), await full(`${IMPORT} tuneHeap(process.versions.v8);`)];
  assert.ok(tuned <= 1 && untuned > 3, `${tuned} full collections, ${untuned} without the flag`);
};
if (hasFlag) test('buffers by the hundred MiB set off no full collection', buffersSetOffNothing);

test.run();
