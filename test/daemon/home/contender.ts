/** One of several processes that take the same home in turn: `contender HOME TIMES` ends when it has had it so often, and prints how often it was turned away. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockHome } from '../../../daemon/home/lock.js';
import { homePaths } from '../../../daemon/home/paths.js';

const [, , root = '', times = '1'] = process.argv;
const paths = homePaths(root);
const marker = join(root, 'held');

let turnedAway = 0;
for (let won = 0; won < Number(times);) {
  try {
    const lock = await lockHome(paths);
    // fails when another process is between these two lines
    fs.writeFileSync(marker, '', { flag: 'wx' });
    await sleep(Math.random() * 3);
    fs.rmSync(marker);
    lock.release();
    won++;
  } catch (error) {
    if ((error as { code?: string }).code !== 'running') throw error;
    turnedAway++;
    await sleep(Math.random() * 3);
  }
}
process.stdout.write(`${turnedAway}\n`);
