/** Passphrases on the command line's side: files and what is refused of them, and what is typed. */
import { chmodSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Ended } from '../../cli/context.js';
import { askPassphrase, passphraseFor, readPassphraseFile } from '../../cli/passphrase.js';
import type { Input, World } from '../../cli/world.js';
import { WarrenError } from '../../protocol/errors.js';
import { assert, suite } from '../helpers/suite.js';
import { fakeWorld, temporaryFolder, type Sink } from './run-cli.js';

const test = suite('cli: passphrases');
const folder = temporaryFolder();
test.after(() => folder.remove());

function file(text: string | Uint8Array, mode = 0o600): string {
  const path = join(folder.path, 'f');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

async function refused(step: () => Promise<unknown>): Promise<string> {
  try {
    await step();
  } catch (error) {
    assert.instance(error, WarrenError);
    assert.is((error as WarrenError).code, 'passphrase');
    assert.ok((error as WarrenError).hint);
    return (error as WarrenError).message;
  }
  throw new Error('nothing was refused');
}

test('one line end is left out, and nothing else', async () => {
  const world = fakeWorld([]);
  for (const [text, passphrase] of [
    ['abc', 'abc'],
    ['abc\n', 'abc'],
    ['abc\r\n', 'abc'],
    ['abc\n\n', 'abc\n'],
    [' a b ', ' a b '],
    ['Zoë', 'Zoë'],
  ] as const)
    assert.is(await readPassphraseFile(world, file(text)), passphrase);
  assert.is(await readPassphraseFile({ ...world, cwd: folder.path }, 'f'), 'Zoë', 'from the current folder');
});

test('a descriptor is read as it is, and stays open', async () => {
  const fd = openSync(file('from a descriptor\n'), 'r');
  assert.is(await readPassphraseFile(fakeWorld([]), `/dev/fd/${fd}`), 'from a descriptor');
  closeSync(fd);
  assert.match(await refused(() => readPassphraseFile(fakeWorld([]), `/dev/fd/${fd}`)), /descriptor is not open/);
});

test('what cannot be a passphrase is refused, and not quoted', async () => {
  const world = fakeWorld([]);
  assert.match(await refused(() => readPassphraseFile(world, file(''))), /no passphrase in/);
  assert.match(await refused(() => readPassphraseFile(world, file(Uint8Array.of(0xff, 0xfe)))), /not UTF-8/);
  assert.match(await refused(() => readPassphraseFile(world, file('y'.repeat(5_000)))), /longer than any/);
  assert.match(await refused(() => readPassphraseFile(world, join(folder.path, 'none'))), /does not exist/);
  for (const mode of [0o640, 0o604, 0o620])
    assert.match(await refused(() => readPassphraseFile(world, file('geheim', mode))), /^others can read(?!.*geheim)/);
});

test("systemd's credentials have modes of their own; a name that only begins like their folder does not", async () => {
  const path = file('geheim', 0o444);
  const inside = fakeWorld([], { env: { CREDENTIALS_DIRECTORY: folder.path } });
  assert.is(await readPassphraseFile(inside, path), 'geheim');
  const beside = fakeWorld([], { env: { CREDENTIALS_DIRECTORY: folder.path.slice(0, -1) } });
  assert.match(await refused(() => readPassphraseFile(beside, path)), /others can read/);
});

test('without a file and without a terminal it is said what to do', async () => {
  const question = { purpose: 'open', of: '/x' } as const;
  assert.match(
    await refused(() => passphraseFor(fakeWorld([]), undefined, question)),
    /no passphrase was given for \/x/,
  );
});

/** A terminal into which keys are typed. */
function terminal(): { world: World & { stderr: Sink }; type: (keys: string) => void; raw: boolean[] } {
  const stdin = new PassThrough();
  const raw: boolean[] = [];
  const input: Input = Object.assign(stdin, { isTTY: true, setRawMode: (on: boolean) => void raw.push(on) });
  return {
    world: { ...fakeWorld([]), interactive: true, stdin: () => input } as World & { stderr: Sink },
    type: keys => void stdin.write(keys),
    raw,
  };
}

const OPEN = { purpose: 'open', of: 'the home' } as const;
const CHOOSE = { purpose: 'choose', of: 'the home' } as const;

test('what is typed is not shown; backspace, Ctrl-U and arrow keys do what they should', async () => {
  const { world, type, raw } = terminal();
  type('wrong\u0015gex\u007fh\u001b[A\u001bOBeim\u00e4\u0008\r');
  assert.is(await askPassphrase(world, OPEN), 'geheim');
  assert.is(world.stderr.text, 'passphrase of the home: \n');
  assert.equal(raw, [true, false], 'the terminal is as it was');
});

test('a new one is typed twice, also when both come in one piece', async () => {
  const { world, type } = terminal();
  type('geheim\rgeheim\r');
  assert.is(await askPassphrase(world, CHOOSE), 'geheim');
  const other = terminal();
  other.type('geheim\rgehemi\r');
  assert.is(await refused(() => askPassphrase(other.world, CHOOSE)), 'the two passphrases differ');
});

test('Ctrl-C interrupts, Ctrl-D and the end of the input give up; the terminal is as it was', async () => {
  const broken = terminal();
  broken.type('ge\u0003');
  const error = await askPassphrase(broken.world, OPEN).catch((thrown: unknown) => thrown);
  assert.instance(error, Ended);
  assert.is((error as Ended).exitCode, 130);
  assert.equal(broken.raw, [true, false]);
  const done = terminal();
  done.type('\u0004');
  assert.match(await refused(() => askPassphrase(done.world, OPEN)), /no passphrase was typed/);
  assert.equal(done.raw, [true, false]);
});

test.run();
