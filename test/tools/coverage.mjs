// Branch coverage of every decoder: what takes bytes or text from outside. Runs their tests under c8 and fails below
// 90 % of the branches of any one of these files.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const DECODERS = [
  'protocol/bytes.ts',
  'protocol/handshake/preface.ts',
  'protocol/handshake/payload.ts',
  'protocol/handshake/admission-frames.ts',
  'protocol/identity/cbor.ts',
  'protocol/identity/signed.ts',
  'protocol/identity/statement.ts',
  'protocol/identity/claim.ts',
  'protocol/identity/grant.ts',
  'protocol/identity/registry-record.ts',
  'protocol/identity/invite.ts',
  'protocol/identity/trust-item.ts',
  'protocol/link/record.ts',
  'protocol/link/frame.ts',
  'protocol/noise/name.ts',
  'daemon/admin/validate.ts',
  'daemon/config/load.ts',
  'daemon/config/schema.ts',
  'daemon/transport/address.ts',
];

const TESTS = ['fuzz', 'protocol/', 'daemon/admin', 'daemon/config', 'daemon/transport/address'];

const args = [
  join(ROOT, 'node_modules', 'c8', 'bin', 'c8.js'),
  '--check-coverage',
  '--per-file',
  '--branches=90',
  '--lines=0',
  '--functions=0',
  '--statements=0',
  '--reporter=text',
  '--temp-directory',
  join(ROOT, 'coverage', 'tmp'),
  '--exclude-after-remap',
  ...DECODERS.flatMap(file => ['--include', file]),
  process.execPath,
  join(ROOT, 'dist', 'test', 'run.js'),
  ...TESTS,
];
process.exitCode = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
