#!/usr/bin/env node
/** The program `warren`: the real process handed to the commands. */
import { run } from './program.js';
import { realWorld } from './process.js';

await run(realWorld());
