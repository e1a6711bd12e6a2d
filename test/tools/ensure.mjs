// Makes a checkout ready: installs and builds when node_modules or dist is missing, or older than the lock file or
// the sources. Plain JavaScript without packages, since it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SOURCES = ['protocol', 'daemon', 'cli', 'test'];
const MIN_NODE = [20, 19];

const say = text => process.stderr.write(`${text}\n`);
const mtime = path => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Newest modification below a folder, of TypeScript files and of the folders themselves (a deletion touches those). */
function newest(folder) {
  let latest = mtime(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) latest = Math.max(latest, newest(path));
    else if (entry.name.endsWith('.ts')) latest = Math.max(latest, mtime(path));
  }
  return latest;
}

function run(what, command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2], shell: false });
  if (result.status === 0) return;
  say(`${what} failed${result.error ? `: ${result.error.message}` : ''}`);
  process.exit(1);
}

export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  say(`warren needs Node ${MIN_NODE.join('.')} or later, this is ${process.versions.node}`);
  process.exit(1);
}

export function ensureInstalled() {
  const marker = mtime(join(ROOT, 'node_modules', '.package-lock.json'));
  if (marker >= Math.max(mtime(join(ROOT, 'package-lock.json')), 1)) return;
  say('installing packages (npm ci) …');
  run('npm ci', process.platform === 'win32' ? 'npm.cmd' : 'npm', [
    'ci',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
}

export function build() {
  say('building (tsc) …');
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  run('the build', process.execPath, [
    join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    ROOT,
    '--noEmitOnError',
  ]);
}

export function ensureBuilt() {
  const sources = Math.max(...SOURCES.map(name => newest(join(ROOT, name))), mtime(join(ROOT, 'tsconfig.json')));
  const inputs = Math.max(sources, mtime(join(ROOT, 'node_modules', '.package-lock.json')));
  if (mtime(join(ROOT, 'dist', '.tsbuildinfo')) < inputs) build();
}

checkNode();
ensureInstalled();
if (process.argv[2] === '--build') build();
else ensureBuilt();
