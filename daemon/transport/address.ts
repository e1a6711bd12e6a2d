/**
 * Addresses as people write them: where to dial a node, where to listen for nodes, what a service's target is, where a
 * tunnel listens. Whoever needs an address parses it here, once, and gets one sentence and a hint when it is wrong.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { isAbsolute } from 'node:path';
import { WarrenError } from '../../protocol/errors.js';
import type { NodeIdText } from '../../protocol/identity/node-id.js';

/** Longest address text; a DNS name has at most 253 characters, the rest is for a path. */
export const ADDRESS_MAX = 512;
const HOST_NAME_MAX = 253;
/** Bytes in sockaddr_un.sun_path before its final zero: unix(7); 104 with the zero on macOS and the BSDs. */
export const SOCKET_PATH_MAX = 107;
export const SOCKET_PATH_MAX_BSD = 103;

export interface HostPort {
  /** a name, an IPv4 address, or an IPv6 address without brackets */
  readonly host: string;
  readonly port: number;
}

/** Where a node can be dialed. A plain HOST:PORT takes raw links and WebSocket alike. */
export type Address =
  | (HostPort & { readonly kind: 'tcp' })
  | (HostPort & {
      readonly kind: 'ws' | 'wss';
      /** begins with a slash; a query may follow */
      readonly path: string;
    });

/** What a service's target is, or where a tunnel listens. */
export type Endpoint = (HostPort & { readonly kind: 'tcp' }) | { readonly kind: 'unix'; readonly path: string };

/** @param text HOST:PORT, ws://HOST[:PORT]/PATH or wss://… @throws WarrenError `bad-value` */
export function parseAddress(text: string): Address {
  const hint = 'Write HOST:PORT, [IPV6]:PORT, ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH.';
  checkText(text, 'address', hint);
  const address = /^wss?:\/\//i.test(text) ? parseWebSocketUrl(text, hint) : parseTcp(text, hint);
  if (isUnspecified(address.host))
    throw bad(
      `${show(text)} cannot be dialed: ${address.host} only says where to listen.`,
      'Write an address by which other hosts reach this one.',
    );
  return address;
}

export function formatAddress(address: Address): string {
  if (address.kind === 'tcp') return formatHostPort(address.host, address.port);
  const port = address.port === DEFAULT_PORT[address.kind] ? '' : `:${address.port}`;
  return `${address.kind}://${bracket(address.host)}${port}${address.path}`;
}

/** @param text HOST:PORT or [IPV6]:PORT; port 0 asks for any free one. @throws WarrenError `bad-value` */
export function parseListen(text: string): HostPort {
  const hint = 'Write HOST:PORT, for example 0.0.0.0:7667, or [::]:7667; port 0 takes any free port.';
  checkText(text, 'listen address', hint);
  return parseHostPort(text, 'listen address', hint, 0);
}

/** IPv6 addresses get their brackets. */
export function formatHostPort(host: string, port: number): string {
  return `${bracket(host)}:${port}`;
}

/**
 * @param text PORT (of 127.0.0.1), HOST:PORT or unix:PATH
 * @param platform decides how long a socket's path may be
 * @throws WarrenError `bad-value`
 */
export function parseTarget(text: string, platform: NodeJS.Platform = process.platform): Endpoint {
  const hint = 'Write PORT (of 127.0.0.1), HOST:PORT or unix:PATH.';
  checkText(text, 'target', hint);
  if (/^udp:/i.test(text))
    throw bad(
      `The target ${show(text)} is UDP, which warren does not carry yet.`,
      'Expose a TCP port or a unix socket.',
    );
  return parseEndpoint(text, 'target', hint, 1, platform);
}

/** @param text PORT (on 127.0.0.1), HOST:PORT or unix:PATH; port 0 asks for any free one. @throws WarrenError `bad-value` */
export function parseTunnelListen(text: string, platform: NodeJS.Platform = process.platform): Endpoint {
  const hint = 'Write PORT (on 127.0.0.1), HOST:PORT or unix:PATH.';
  checkText(text, 'listen address', hint);
  if (/^udp:/i.test(text)) throw bad(`The listen address ${show(text)} is UDP, which warren does not carry yet.`, hint);
  return parseEndpoint(text, 'listen address', hint, 0, platform);
}

/** The long form: `8080` reads back as `127.0.0.1:8080`. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.kind === 'unix' ? `unix:${endpoint.path}` : formatHostPort(endpoint.host, endpoint.port);
}

/** True for the addresses that mean "every interface". */
export function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || (isIPv6(host) && /^[0:]+$/.test(host));
}

const DEFAULT_PORT = { ws: 80, wss: 443 } as const;
const LOOPBACK = '127.0.0.1';

function parseEndpoint(text: string, what: string, hint: string, lowest: 0 | 1, platform: NodeJS.Platform): Endpoint {
  if (text.startsWith('unix:')) return { kind: 'unix', path: checkSocketPath(text.slice('unix:'.length), platform) };
  if (/^\d+$/.test(text)) return { kind: 'tcp', host: LOOPBACK, port: parsePort(text, text, what, hint, lowest) };
  return { kind: 'tcp', ...parseHostPort(text, what, hint, lowest) };
}

function parseTcp(text: string, hint: string): Address {
  return { kind: 'tcp', ...parseHostPort(text, 'address', hint, 1) };
}

function parseHostPort(text: string, what: string, hint: string, lowest: 0 | 1): HostPort {
  const bracketed = /^\[([^\]]*)\]:(.*)$/.exec(text);
  if (bracketed) {
    const [, host = '', port = ''] = bracketed;
    if (!isIPv6(host)) throw bad(`${show(text)} is not ${a(what)}: ${show(host)} is not an IPv6 address.`, hint);
    return { host, port: parsePort(port, text, what, hint, lowest) };
  }
  const colon = text.lastIndexOf(':');
  if (colon < 0) throw bad(`${show(text)} is not ${a(what)}: there is no port in it.`, hint);
  const host = text.slice(0, colon);
  if (host.includes(':'))
    throw bad(
      `${show(text)} is not ${a(what)}: an IPv6 address needs brackets.`,
      'Write [IPV6]:PORT, as in [::1]:7667.',
    );
  checkHost(host, text, what, hint);
  return { host, port: parsePort(text.slice(colon + 1), text, what, hint, lowest) };
}

function checkHost(host: string, text: string, what: string, hint: string): void {
  if (host === '') throw bad(`${show(text)} is not ${a(what)}: there is no host in it.`, hint);
  const looksNumeric = /^[\d.]+$/.test(host);
  if (looksNumeric ? !isIPv4(host) : !isHostName(host))
    throw bad(`${show(text)} is not ${a(what)}: ${show(host)} is neither a host name nor an IP address.`, hint);
}

/** RFC 1123 §2.1, and the underscore that names in private DNS do have; a final dot means an absolute name. */
function isHostName(host: string): boolean {
  const labels = host.replace(/\.$/, '').split('.');
  return host.length <= HOST_NAME_MAX && labels.every(label => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label));
}

function parsePort(digits: string, text: string, what: string, hint: string, lowest: 0 | 1): number {
  const port = /^(0|[1-9]\d{0,4})$/.test(digits) ? Number(digits) : -1;
  if (port < lowest || port > 65535)
    throw bad(`${show(text)} is not ${a(what)}: the port is a number from ${lowest} to 65535.`, hint);
  return port;
}

function parseWebSocketUrl(text: string, hint: string): Address {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad(`${show(text)} is not an address: it does not read as a URL.`, hint);
  }
  if (url.username !== '' || url.password !== '')
    throw bad(`The address of ${url.host} has a user name or password in it.`, 'warren knows its peers by their keys.');
  if (url.hash !== '') throw bad(`${show(text)} is not an address: a URL to dial has no #fragment.`, hint);
  const kind = url.protocol === 'wss:' ? 'wss' : 'ws';
  const port = url.port === '' ? DEFAULT_PORT[kind] : Number(url.port);
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  if (isIP(host) === 0) checkHost(host, text, 'address', hint);
  if (port === 0) throw bad(`${show(text)} is not an address: the port is a number from 1 to 65535.`, hint);
  return { kind, host, port, path: url.pathname + url.search };
}

function checkSocketPath(path: string, platform: NodeJS.Platform): string {
  if (path === '') throw bad('A unix socket needs a path behind unix:.', 'Write unix:/path/to/socket.');
  if (!isAbsolute(path))
    throw bad(
      `The socket path ${show(path)} is relative, and the daemon runs elsewhere.`,
      'Write the whole path, beginning with a slash.',
    );
  const bytes = Buffer.byteLength(path);
  const most = platform === 'linux' ? SOCKET_PATH_MAX : SOCKET_PATH_MAX_BSD;
  if (platform !== 'win32' && bytes > most)
    throw bad(
      `The socket path has ${bytes} bytes; the operating system allows ${most}.`,
      'Choose a shorter path, for example below /run or /tmp.',
    );
  return path;
}

function checkText(text: string, what: string, hint: string): void {
  if (text === '') throw bad(`The ${what} is empty.`, hint);
  // A file's path may hold spaces; its length has a limit of its own.
  const isPath = text.startsWith('unix:');
  if (!isPath && text.length > ADDRESS_MAX)
    throw bad(`The ${what} has ${text.length} characters; at most ${ADDRESS_MAX} are allowed.`, hint);
  if (/\p{Cc}/u.test(text) || (!isPath && /\s/.test(text)))
    throw bad(`The ${what} has a space or control character in it.`, hint);
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function a(what: string): string {
  return /^[aeiou]/.test(what) ? `an ${what}` : `a ${what}`;
}

function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

function bad(sentence: string, hint: string): WarrenError {
  return new WarrenError('bad-value', sentence, { hint });
}

const RELAY_PREFIX = 'relay:';

/** The address of a relayed link: `relay:` and the node ID of the relay. It cannot be dialed like the others. */
export function relayAddress(relay: NodeIdText): string {
  return `${RELAY_PREFIX}${relay}`;
}

/** @returns the node ID of the relay; undefined for any other address */
export function relayOf(address: string): NodeIdText | undefined {
  return address.startsWith(RELAY_PREFIX) ? address.slice(RELAY_PREFIX.length) : undefined;
}
