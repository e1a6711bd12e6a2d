/**
 * Stands in for the daemon's program: takes the start request over IPC, notes what it was started with, and does what
 * the name in the request says. No name: gets ready and serves the admin API until it is told to end.
 */
import { appendFileSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { StartReply, StartRequest } from '../../protocol/admin/programs.js';
import { FakeDaemon, sendJson } from './fake-daemon.js';
import * as samples from './samples.js';

export interface Noted {
  readonly pid: number;
  readonly argv: readonly string[];
  /** Node's own flags */
  readonly execArgv: readonly string[];
  readonly cwd: string;
  readonly request: StartRequest;
  /** what the descriptors point to, by number; empty where there is no /proc */
  readonly descriptors: Readonly<Record<string, string>>;
}

function descriptors(): Record<string, string> {
  try {
    const links = readdirSync('/proc/self/fd').map(fd => {
      try {
        return [fd, readlinkSync(`/proc/self/fd/${fd}`)] as const;
      } catch {
        return [fd, 'closed'] as const;
      }
    });
    return Object.fromEntries(links);
  } catch {
    return {};
  }
}

function tell(reply: StartReply): Promise<void> {
  return new Promise(resolve => process.send?.(reply, undefined, undefined, () => resolve()));
}

async function serve(request: StartRequest): Promise<void> {
  const daemon = new FakeDaemon(request.home);
  const status = { ...samples.status, pid: process.pid, home: request.home };
  const end = async (code: number): Promise<void> => {
    await daemon.stop();
    process.exit(code);
  };
  daemon.on('GET /v1/status', status);
  daemon.on('POST /v1/shutdown', (_, response) => {
    const { restart } = daemon.asked.at(-1)?.body as { restart?: boolean };
    const respawn = restart !== true ? 'nobody' : request.foreground ? 'parent' : 'caller';
    sendJson(response, 200, { apiVersion: 1, pid: process.pid, openStreams: 2, respawn });
    if (respawn === 'parent') void tell({ kind: 'restarting' });
    setTimeout(() => void end(0), 200);
  });
  await daemon.start();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      appendFileSync(join(request.home, 'signals'), `${signal}\n`);
      if (signal !== 'SIGHUP') void end(0);
    });
  process.on('disconnect', () => {
    if (request.foreground) void end(0);
  });
  await tell({ kind: 'ready', status, ...(request.join === undefined ? {} : { joined: samples.join }) });
}

process.once('message', message => {
  const request = message as StartRequest;
  mkdirSync(request.home, { recursive: true });
  const noted: Noted = {
    pid: process.pid,
    argv: process.argv,
    execArgv: process.execArgv,
    cwd: process.cwd(),
    request,
    descriptors: descriptors(),
  };
  appendFileSync(join(request.home, 'noted'), `${JSON.stringify(noted)}\n`);
  if (request.name === 'fails') {
    const failed: StartReply = { kind: 'failed', code: 'denied', message: 'the port is taken', hint: 'take another' };
    void tell(failed).then(() => process.exit(1));
  } else if (request.name === 'crashes') process.exit(7);
  else if (request.name === 'lingers') {
    // Says that it failed and does not end.
    setInterval(() => undefined, 1_000);
    void tell({ kind: 'failed', code: 'internal', message: 'something' });
  } else if (request.name === 'is-slow') setInterval(() => undefined, 1_000);
  else void serve(request);
});
