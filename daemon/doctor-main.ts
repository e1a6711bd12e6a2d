/**
 * The offline doctor: `doctor-main [HOME]` checks a home on which no daemon runs, and prints a DoctorReply. Changes
 * nothing: it makes no home, takes no lock, and binds a port only to see whether it is free.
 */
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { API_VERSION, type DoctorReply } from '../protocol/admin/contract.js';
import { WarrenError } from '../protocol/errors.js';
import { DEFAULT_LISTEN } from './config/schema.js';
import { loadConfig } from './config/load.js';
import { codeOf } from './home/atomic.js';
import { permissionProblems } from './home/home.js';
import { runningPid } from './home/lock.js';
import { homeOf, homePaths, type HomePaths } from './home/paths.js';
import { doctorChecks, type DoctorInput, type PortInput } from './observe/doctor.js';
import { proxyInput, type ProxyInput } from './observe/proxy-input.js';
import { parseListen } from './transport/address.js';
import { hasThinSockets } from './transport/thin-socket.js';

async function gather(paths: HomePaths): Promise<DoctorInput> {
  const exists = fs.existsSync(paths.root);
  const { listen, proxy, problem } = readNode(paths);
  const pid = exists ? await runningPid(paths).catch(() => undefined) : undefined;
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    thinSockets: hasThinSockets,
    home: { path: paths.root, exists, writable: exists && isWritable(paths.root) },
    permissions: exists ? told(() => permissionProblems(paths.root)) : [],
    ...(problem === undefined ? {} : { config: problem }),
    socketPath: paths.socket,
    clock: { now: Date.now(), ...newestFile(paths) },
    ...freeBytes(paths.root),
    ports: await Promise.all(listen.map(checkPort)),
    ...(proxy === undefined ? {} : { proxy }),
    ...(pid === undefined ? {} : { daemonPid: pid }),
  };
}

interface Complaint {
  readonly message: string;
  readonly hint?: string;
}

function complaint(error: unknown): Complaint {
  if (!(error instanceof WarrenError)) return { message: String(error) };
  return { message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

function told(check: () => readonly WarrenError[]): readonly Complaint[] {
  try {
    return check().map(complaint);
  } catch (error) {
    return [complaint(error)];
  }
}

interface NodeInput {
  readonly listen: readonly string[];
  readonly proxy?: ProxyInput | undefined;
  readonly problem?: Complaint;
}

/** The environment is that of the shell, which a daemon that is started here would have too. */
function readNode(paths: HomePaths): NodeInput {
  try {
    const { listen, proxy } = loadConfig(paths.config).node;
    return { listen, proxy: proxyInput(proxy, process.env, paths.config) };
  } catch (error) {
    return { listen: DEFAULT_LISTEN, problem: complaint(error) };
  }
}

function isWritable(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Files of the home were written at some time: a clock far before that is wrong. */
function newestFile(paths: HomePaths): { readonly notBefore?: number } {
  const times = [paths.config, paths.nodeKeys, paths.networkKeys, paths.memory].flatMap(file => {
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    return stats === undefined ? [] : [stats.mtimeMs];
  });
  return times.length === 0 ? {} : { notBefore: Math.max(...times) };
}

function freeBytes(folder: string): { readonly freeBytes?: number } {
  try {
    const { bavail, bsize } = fs.statfsSync(folder);
    return { freeBytes: bavail * bsize };
  } catch {
    return {};
  }
}

function checkPort(listen: string): Promise<PortInput> {
  const { host, port } = parseListen(listen);
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', error => {
      const code = codeOf(error);
      if (code === 'EADDRINUSE') resolve({ listen, state: 'taken' });
      else resolve({ listen, state: 'failed', problem: code });
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve({ listen, state: 'free' })));
  });
}

async function main(): Promise<void> {
  const paths = homePaths(homeOf(process.argv[2]));
  const reply: DoctorReply = { apiVersion: API_VERSION, checks: doctorChecks(await gather(paths)) };
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${complaint(error).message}\n`);
  process.exitCode = 1;
});
