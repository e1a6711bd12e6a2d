/** The real CLI in a real process, but the program that it starts as the daemon is a stand-in. */
import { fileURLToPath } from 'node:url';
import { realWorld } from '../../cli/process.js';
import { run } from '../../cli/program.js';

const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const daemonProgram = fileURLToPath(new URL(`./fake-daemon-program${extension}`, import.meta.url));

await run({ ...realWorld(), daemonProgram });
