/** Colours, per stream: NO_COLOR switches them off, else FORCE_COLOR on, else they are for terminals that know them. */
import pico from 'picocolors';
import type { World, Output } from '../world.js';

export type Colours = ReturnType<typeof pico.createColors>;

export function wantsColour(env: World['env'], stream: Output): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '')
    return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export function colours(env: World['env'], stream: Output): Colours {
  return pico.createColors(wantsColour(env, stream));
}
