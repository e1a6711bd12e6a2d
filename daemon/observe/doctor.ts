/**
 * The checks of `warren doctor` that need no network: plain data in, one verdict each out. The daemon runs them on
 * itself; without a daemon the program doctor-main.ts collects the data and runs them.
 */
import type { DoctorCheck } from '../../protocol/admin/contract.js';
import { maxSocketPath } from '../../protocol/admin/home.js';
import { spanText } from '../../protocol/clock.js';
import type { ProxyInput } from './proxy-input.js';

export interface DoctorInput {
  readonly platform: string;
  /** version of node, e.g. 20.19.0 */
  readonly nodeVersion: string;
  /** connections go without node's streams: what is inside this node makes that possible */
  readonly thinSockets: boolean;
  readonly home: { readonly path: string; readonly exists: boolean; readonly writable: boolean };
  /** complaints of the home's permission checks, in words */
  readonly permissions: readonly { readonly message: string; readonly hint?: string }[];
  /** why the config cannot be used; undefined: it can */
  readonly config?: { readonly message: string; readonly hint?: string };
  readonly socketPath: string;
  readonly clock: ClockInput;
  /** free bytes on the file system of the home; undefined: not known */
  readonly freeBytes?: number;
  /** empty: this node does not listen */
  readonly ports: readonly PortInput[];
  /** undefined: links are dialed directly */
  readonly proxy?: ProxyInput;
  readonly daemonPid?: number;
}

export interface ClockInput {
  /** wall clock, ms since the epoch */
  readonly now: number;
  /** the latest time that is known to have passed: of files in the home, of statements; ms since the epoch */
  readonly notBefore?: number;
  /** median of what connected peers say minus ours, ms; undefined without peers */
  readonly peerOffsetMs?: number;
  /** the same of hosts of this network that dialed and were turned away for it */
  readonly refusedOffsetMs?: number;
}

export interface PortInput {
  /** as configured, HOST:PORT */
  readonly listen: string;
  /** bound: by this daemon · free: could be bound · taken: by another program · failed: another reason */
  readonly state: 'bound' | 'free' | 'taken' | 'failed';
  readonly problem?: string;
}

/** This program was not written before that. */
const EARLIEST = Date.UTC(2026, 0, 1);
const LATEST = Date.UTC(2100, 0, 1);
/** The handshake accepts an hour; a quarter of it is worth a warning. */
const CLOCK_WARNING_MS = 15 * 60_000;
const CLOCK_PROBLEM_MS = 60 * 60_000;
const FREE_WARNING_BYTES = 64 * 1024 * 1024;
const MIN_NODE: readonly [number, number] = [20, 19];

/** @returns all checks in a fixed order, the good ones too */
export function doctorChecks(input: DoctorInput): readonly DoctorCheck[] {
  return [
    daemonCheck(input),
    nodeCheck(input),
    homeCheck(input),
    ...permissionChecks(input),
    configCheck(input),
    socketCheck(input),
    clockCheck(input.clock),
    ...diskCheck(input),
    ...portChecks(input.ports),
    ...proxyChecks(input.proxy),
  ];
}

function check(name: string, state: DoctorCheck['state'], message: string, hint?: string): DoctorCheck {
  return { name, state, message, ...(hint === undefined ? {} : { hint }) };
}

function daemonCheck({ daemonPid }: DoctorInput): DoctorCheck {
  if (daemonPid !== undefined) return check('daemon', 'ok', `the daemon runs (pid ${daemonPid})`);
  return check('daemon', 'warning', 'no daemon runs on this home', 'start one: warren up --detach');
}

function nodeCheck({ nodeVersion, thinSockets }: DoctorInput): DoctorCheck {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number);
  const enough = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  const way = thinSockets ? "without node's streams" : "through node's streams, which costs more CPU";
  if (enough) return check('node', 'ok', `Node.js ${nodeVersion}, connections go ${way}`);
  return check('node', 'problem', `Node.js ${nodeVersion} is too old`, `install ${MIN_NODE.join('.')} or newer`);
}

function homeCheck({ home }: DoctorInput): DoctorCheck {
  if (!home.exists) return check('home', 'warning', `the home ${home.path} does not exist yet`, '`warren up` makes it');
  if (home.writable) return check('home', 'ok', `the home is ${home.path}`);
  return check(
    'home',
    'problem',
    `the home ${home.path} is not writable`,
    'it must belong to the user that runs the daemon',
  );
}

function permissionChecks({ permissions, home }: DoctorInput): readonly DoctorCheck[] {
  if (!home.exists) return [];
  if (permissions.length === 0)
    return [check('permissions', 'ok', 'nobody else can read the keys or write to the home')];
  return permissions.map(({ message, hint }) => check('permissions', 'problem', message, hint));
}

function configCheck({ config }: DoctorInput): DoctorCheck {
  if (config === undefined) return check('config', 'ok', 'the config can be used');
  return check('config', 'problem', config.message, config.hint);
}

function socketCheck({ socketPath, platform }: DoctorInput): DoctorCheck {
  const max = maxSocketPath(platform);
  const length = Buffer.byteLength(socketPath);
  if (platform === 'win32' || length <= max) return check('socket', 'ok', `the admin socket is ${socketPath}`);
  return check(
    'socket',
    'problem',
    `the socket path has ${length} bytes, at most ${max} are possible`,
    'use a shorter --home',
  );
}

function clockCheck({ now, notBefore, peerOffsetMs, refusedOffsetMs }: ClockInput): DoctorCheck {
  const hint = 'set the clock, best by NTP: handshakes and grants depend on it';
  const told = new Date(Math.min(Math.max(now, 0), 8.64e15)).toISOString();
  if (now < EARLIEST || now > LATEST) return check('clock', 'problem', `the clock says ${told}`, hint);
  if (notBefore !== undefined && now < notBefore - CLOCK_WARNING_MS) {
    return check(
      'clock',
      'problem',
      `the clock says ${told}, but files of the home are from ${spanText(notBefore - now)} later`,
      hint,
    );
  }
  // Whoever is connected has a clock that agrees well enough: then it is the others that are wrong.
  const offset = peerOffsetMs ?? refusedOffsetMs ?? 0;
  const off = Math.abs(offset);
  const side = offset > 0 ? 'behind' : 'ahead of';
  const whose =
    peerOffsetMs === undefined ? 'those of hosts of this network, which are turned away' : 'that of the peers';
  const message = `the clock is ${spanText(off)} ${side} ${whose}`;
  if (off > CLOCK_PROBLEM_MS) return check('clock', 'problem', message, hint);
  if (off > CLOCK_WARNING_MS) return check('clock', 'warning', message, hint);
  return check(
    'clock',
    'ok',
    peerOffsetMs === undefined ? `the clock says ${told}` : 'the clock agrees with the peers',
  );
}

function diskCheck({ freeBytes }: DoctorInput): readonly DoctorCheck[] {
  if (freeBytes === undefined) return [];
  const mib = Math.floor(freeBytes / (1024 * 1024));
  if (freeBytes >= FREE_WARNING_BYTES) return [check('disk', 'ok', `${mib} MiB are free`)];
  return [
    check(
      'disk',
      freeBytes === 0 ? 'problem' : 'warning',
      `only ${mib} MiB are free on the disk of the home`,
      'free some space',
    ),
  ];
}

function portChecks(ports: readonly PortInput[]): readonly DoctorCheck[] {
  if (ports.length > 0) return ports.map(portCheck);
  return [check('port', 'ok', 'outbound only: this node does not listen, and is reached by the links that it opens')];
}

function proxyChecks(proxy: ProxyInput | undefined): readonly DoctorCheck[] {
  if (proxy === undefined) return [];
  const { shown, source, problem, openFile } = proxy;
  if (problem !== undefined)
    return [check('proxy', 'problem', `no link can be dialed: ${problem.message}`, problem.hint)];
  const way = `links are dialed through ${shown ?? 'a proxy'} (${source ?? 'config'})`;
  if (openFile === undefined) return [check('proxy', 'ok', way)];
  const message = `${way}, and others can read its user name and password in ${openFile}`;
  return [check('proxy', 'warning', message, `run: chmod 600 ${openFile}`)];
}

function portCheck({ listen, state, problem }: PortInput): DoctorCheck {
  const why = problem === undefined ? '' : `: ${problem}`;
  switch (state) {
    case 'bound':
      return check('port', 'ok', `listening on ${listen}`);
    case 'free':
      return check('port', 'ok', `${listen} is free`);
    case 'taken':
      return check(
        'port',
        'problem',
        `${listen} is taken by another program${why}`,
        'end that program, or set another node.listen',
      );
    case 'failed':
      return check('port', 'problem', `${listen} cannot be bound${why}`, 'set another node.listen');
  }
}
