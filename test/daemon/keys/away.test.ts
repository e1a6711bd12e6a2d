/** Members sleep while others rotate, and come back: one connection is enough, to any member that knows. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { Members, seqAt } from './members.js';

const test = suite('rotated while away');

for (const rotations of [1, 5, 30, ...full([], [1000])])
  for (const isApart of [false, true])
    test(
      `D sleeps while A, B and C rotate ${rotations} times${isApart ? ', and reaches B and C alone then' : ''}`,
      async () => {
        const members = await Members.make(`${seed()} away ${rotations}`, ['a', 'b', 'c', 'd']);
        assert.is.not(await members.until(() => members.isWhole(), 10_000), undefined);
        members.sleep('d');
        const awake = ['a', 'b', 'c'].map(name => members.get(name));
        let slowest = 0;
        for (let i = 0; i < rotations; i++) {
          for (const node of awake) {
            const begin = performance.now();
            await node.rotations.rotate({ reason: 'routine' });
            slowest = Math.max(slowest, performance.now() - begin);
          }
          // Between many of them the others need not hear of each one by itself.
          if (i % Math.ceil(rotations / 50) === 0) await members.run(50);
        }
        if (isApart) members.separate('a', 'd');
        const begin = performance.now();
        const d = await members.wake('d');
        const took = await members.until(() => members.isWhole(), 20_000);
        const real = performance.now() - begin;
        assert.is.not(took, undefined, 'D is back');
        assert.equal(
          awake.map(node => seqAt(d, node)),
          [rotations, rotations, rotations],
        );
        const talk = members.talk(d, members.get('c'));
        await members.run(1_000);
        assert.is(talk.ended, undefined);
        assert.ok(talk.answers > 10);
        const refused = d.lines.filter(({ event }) => event === 'link-refused');
        assert.equal(refused, [], 'the first connection to each was enough');
        if (rotations >= 30) {
          const { root } = awake[0]!;
          const keys = statSync(join(root, 'keys', 'node.json')).size;
          const state = join(root, 'state');
          const file = readdirSync(state).find(name => name.startsWith('trust-'))!;
          const trust = statSync(join(state, file)).size;
          const figures = `${took!.toFixed(0)} ms of its own time, ${real.toFixed(0)} ms of computing`;
          console.log(
            `note: ${rotations} rotations of three: back after ${figures}; node.json ${keys} B, trust ${trust} B, slowest rotation ${slowest.toFixed(1)} ms`,
          );
        }
        members.stop();
      },
      { deadline: full(60_000, 900_000) },
    );

test.run();
