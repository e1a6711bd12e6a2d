/** What every command is given: its home, its outputs, the way to the daemon. */
import { WarrenError } from '../protocol/errors.js';
import { AdminClient } from './client.js';
import { EXIT } from './exit.js';
import { adminSocket } from './home.js';
import { colours, type Colours } from './output/colour.js';
import { jsonDocument } from './output/json.js';
import { sentence } from './output/error.js';
import type { World } from './world.js';

/** Parsed options of a command by their camelCase names. */
export type Options = Readonly<Record<string, unknown>>;

export interface ContextOptions {
  readonly home: string;
  /** the command must be told the home again to reach the same daemon */
  readonly homeFlag: boolean;
  readonly json: boolean;
}

export class Context {
  readonly world: World;
  readonly home: string;
  readonly json: boolean;
  readonly colour: Colours;
  readonly talkColour: Colours;
  readonly #homeFlag: boolean;
  #client: AdminClient | undefined;

  constructor(world: World, options: ContextOptions) {
    this.world = world;
    this.home = options.home;
    this.json = options.json;
    this.#homeFlag = options.homeFlag;
    this.colour = colours(world.env, world.stdout);
    this.talkColour = colours(world.env, world.stderr);
  }

  /** The daemon of this home. Nothing is asked before the first call. */
  get client(): AdminClient {
    this.#client ??= new AdminClient({
      socket: adminSocket(this.world, this.home),
      home: this.home,
      start: this.command('up'),
    });
    return this.#client;
  }

  /** A result: lines for stdout. */
  print(text: string): void {
    this.world.stdout.write(`${text}\n`);
  }

  /** A reply as the one JSON document on stdout. */
  document(reply: object): void {
    this.world.stdout.write(jsonDocument(reply));
  }

  /** Talk: a line for stderr. */
  talk(text: string): void {
    this.world.stderr.write(`${text}\n`);
  }

  /** Something that did not stop the command but should be known. May quote the network. */
  warn(text: string): void {
    this.talk(`warren: ${this.talkColour.yellow('warning')}: ${sentence(text)}`);
  }

  /** A command line for hints, with `--home` where this one needed it. */
  command(words: string): string {
    if (!this.#homeFlag) return `warren ${words}`;
    const plain = /^[\w@%+=:,./-]+$/.test(this.home);
    return `warren --home ${plain ? this.home : `'${this.home.replaceAll("'", `'\\''`)}'`} ${words}`;
  }

  /** Terminal width for tables; undefined (no cutting) when stdout is no terminal. */
  get width(): number | undefined {
    const { isTTY, columns } = this.world.stdout;
    return isTTY === true && columns !== undefined && columns > 0 ? columns : undefined;
  }
}

/** Thrown by a command that has said all there is to say: ends with this exit code and no message. */
export class Ended extends Error {
  constructor(readonly exitCode: number) {
    super('ended');
  }
}

export function interrupted(): Ended {
  return new Ended(EXIT.interrupted);
}

/** A usage error: exit code 2. */
export function usage(sentence: string, hint?: string): WarrenError {
  return new WarrenError('usage', sentence, hint === undefined ? {} : { hint });
}
