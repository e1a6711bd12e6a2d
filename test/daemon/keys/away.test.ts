/** Members sleep while others rotate, and come back: one connection is enough, to any member that knows. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import type { MemoryNode } from '../peers/memory-node.js';
import { Members, seqAt } from './members.js';

const test = suite('rotated while away');

/** Sizes of what a node keeps, in bytes. */
function sizes({ root }: MemoryNode): { readonly keys: number; readonly trust: number } {
  const state = join(root, 'state');
  const file = readdirSync(state).find(name => name.startsWith('trust-'))!;
  return { keys: statSync(join(root, 'keys', 'node.json')).size, trust: statSync(join(state, file)).size };
}

/** @param rotations of each; the others need not hear of every one of many by itself */
async function rotate(members: Members, nodes: readonly MemoryNode[], rotations: number): Promise<number> {
  let slowest = 0;
  for (let i = 0; i < rotations; i++) {
    for (const node of nodes) {
      const begin = performance.now();
      await node.rotations.rotate({ reason: 'routine' });
      slowest = Math.max(slowest, performance.now() - begin);
    }
    if (i % Math.ceil(rotations / 50) === 0) await members.run(50);
  }
  return slowest;
}

/** Wakes a member. @returns what that took, in virtual and in real ms */
async function comeBack(members: Members, name: string, rotations: number): Promise<string> {
  const begin = performance.now();
  const back = await members.wake(name);
  const took = await members.until(() => members.isWhole(), 20_000);
  const real = performance.now() - begin;
  assert.is.not(took, undefined, `${name} is back`);
  for (const node of ['a', 'b', 'c']) assert.is(seqAt(back, members.get(node)), rotations);
  const talk = members.talk(back, members.get('c'));
  await members.run(1_000);
  assert.is(talk.ended, undefined);
  assert.ok(talk.answers > 10);
  const refused = back.lines.filter(({ event }) => event === 'link-refused');
  assert.equal(refused, [], 'the first connection to each was enough');
  return `${name} was back after ${took!.toFixed(0)} ms of its own time, ${real.toFixed(0)} ms of computing`;
}

for (const rotations of [1, 5, 30, ...full([], [1000])])
  test(
    `D and E sleep while A, B and C rotate ${rotations} times; D reaches all of them then, E reaches B and C alone`,
    async () => {
      const members = await Members.make(`${seed()} away ${rotations}`, ['a', 'b', 'c', 'd', 'e']);
      assert.is.not(await members.until(() => members.isWhole(), 10_000), undefined);
      // Each is away for the others too.
      for (const name of ['d', 'e']) {
        members.sleep(name);
        members.separate(name);
      }
      const awake = ['a', 'b', 'c'].map(name => members.get(name));
      const slowest = await rotate(members, awake, rotations);
      const notes: string[] = [];
      for (const name of ['d', 'e']) {
        members.join(name);
        if (name === 'e') members.separate('a', 'e');
        notes.push(await comeBack(members, name, rotations));
      }
      const { keys, trust } = sizes(awake[0]!);
      if (rotations >= 30)
        console.log(
          `note: ${rotations} rotations of three: ${notes.join('; ')}; node.json ${keys} B, trust ${trust} B, slowest rotation ${slowest.toFixed(1)} ms`,
        );
      members.stop();
    },
    { deadline: full(60_000, 300_000) },
  );

test.run();
