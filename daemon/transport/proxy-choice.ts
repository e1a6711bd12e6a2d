/**
 * Which HTTP proxy leads to an address: that of the config, else that of the environment, and none to this very host.
 * The text of a proxy may hold credentials, so no error here repeats any of it but host and port.
 */
import { BlockList, isIP } from 'node:net';
import { WarrenError } from '../../protocol/errors.js';
import { formatHostPort, parseAddress, type HostPort } from './address.js';

export interface Proxy extends HostPort {
  readonly kind: 'http' | 'https';
  /** user:password, as RFC 7617 §2 joins them; undefined: none are known */
  readonly credentials: string | undefined;
}

/** A proxy and what named it. */
export interface ProxyChoice {
  readonly proxy: Proxy;
  readonly source: 'node.proxy' | 'https_proxy' | 'HTTPS_PROXY';
}

/** Longest text of a proxy, credentials included. */
export const PROXY_MAX = 1024;
/** Instead of a proxy: none, whatever the environment says. */
export const NO_PROXY_AT_ALL = 'none';

const FORM = 'Write http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before the host if it asks for them.';
const DEFAULT_PORT = { http: 80, https: 443 } as const;

/** @param text http://[USER:PASSWORD@]HOST[:PORT] or https://…; HOST:PORT means http. @throws WarrenError `bad-value` */
export function parseProxy(text: string): Proxy {
  if (text.length > PROXY_MAX) throw bad(`has ${text.length} characters; at most ${PROXY_MAX} are allowed`);
  if (text === '' || /[\p{Cc}\s]/u.test(text)) throw bad('is empty, or has a space or control character in it');
  const kind = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase() ?? 'http';
  if (kind !== 'http' && kind !== 'https')
    throw bad('is neither http:// nor https://', 'Other kinds of proxies, SOCKS for example, are not supported.');
  const url = readUrl(text.includes('://') ? text : `http://${text}`);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? DEFAULT_PORT[kind] : Number(url.port);
  // The same rules as for any address to dial.
  parseAddress(formatHostPort(host, port));
  return { kind, host, port, credentials: credentialsOf(url) };
}

function readUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // said below
  }
  if (url !== undefined && url.pathname === '/' && url.search === '' && url.hash === '') return url;
  if (text.includes('@'))
    throw bad('does not read as a URL', 'In a user name or password write / as %2F, ? as %3F, # as %23, % as %25.');
  throw bad(url === undefined ? 'does not read as a URL' : 'has something behind HOST:PORT');
}

function credentialsOf(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  let user: string;
  let password: string;
  try {
    user = decodeURIComponent(url.username);
    password = decodeURIComponent(url.password);
  } catch {
    throw bad('has a % in its user name or password that does not belong there', 'Write it as %25.');
  }
  if (user.includes(':')) throw bad('has a colon in its user name, which cannot be sent (RFC 7617)');
  if (/\p{Cc}/u.test(user + password)) throw bad('has a control character in its user name or password');
  return `${user}:${password}`;
}

/** Without credentials: what may be shown and logged. */
export function formatProxy({ kind, host, port }: Proxy): string {
  return `${kind}://${formatHostPort(host, port)}`;
}

/** @param text what `node.proxy` may hold: a proxy, or `none`. @throws WarrenError `bad-value` */
export function checkProxySetting(text: string): void {
  if (text !== NO_PROXY_AT_ALL) parseProxy(text);
}

/** What `node.proxy` holds, for people and logs. */
export function showProxySetting(text: string): string {
  return text === NO_PROXY_AT_ALL ? text : formatProxy(parseProxy(text));
}

/**
 * @param setting `node.proxy`; undefined: the environment decides
 * @returns undefined: links are dialed directly
 * @throws WarrenError `bad-value` when the environment names something else than an HTTP proxy
 */
export function chosenProxy(setting: string | undefined, env: NodeJS.ProcessEnv): ProxyChoice | undefined {
  if (setting === NO_PROXY_AT_ALL) return undefined;
  if (setting !== undefined) return { proxy: parseProxy(setting), source: 'node.proxy' };
  for (const source of ['https_proxy', 'HTTPS_PROXY'] as const) {
    const text = env[source];
    if (text !== undefined && text !== '') return { proxy: fromEnvironment(source, text), source };
  }
  return undefined;
}

function fromEnvironment(name: string, text: string): Proxy {
  try {
    return parseProxy(text);
  } catch (error) {
    const { message, hint = '' } = error as WarrenError;
    throw new WarrenError('bad-value', `${name} in the daemon's environment: ${message}`, {
      hint: `${hint} Or set node.proxy in the config, which goes before it.`.trim(),
      cause: error,
    });
  }
}

/** What of the proxy in force may be told. */
export interface ProxyState {
  /** without credentials; null: none is set, or what is set is none */
  readonly shown: string | null;
  readonly source: ProxyChoice['source'] | null;
  readonly hasCredentials: boolean;
  readonly problem?: WarrenError;
}

/** @param setting as for `chosenProxy` */
export function proxyState(setting: string | undefined, env: NodeJS.ProcessEnv): ProxyState {
  try {
    const choice = chosenProxy(setting, env);
    if (choice === undefined) return { shown: null, source: null, hasCredentials: false };
    const { proxy, source } = choice;
    return { shown: formatProxy(proxy), source, hasCredentials: proxy.credentials !== undefined };
  } catch (error) {
    if (!(error instanceof WarrenError)) throw error;
    return { shown: null, source: null, hasCredentials: false, problem: error };
  }
}

/** The proxy through which `target` is dialed; undefined: directly. @throws as `chosenProxy` */
export function proxyFor(target: HostPort, setting: string | undefined, env: NodeJS.ProcessEnv): Proxy | undefined {
  if (isThisHost(target.host)) return undefined;
  const choice = chosenProxy(setting, env);
  if (choice === undefined) return undefined;
  const isExempt = choice.source !== 'node.proxy' && isNamed(target, env.no_proxy ?? env.NO_PROXY ?? '');
  return isExempt ? undefined : choice.proxy;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

function isThisHost(host: string): boolean {
  return isIP(host) === 0 ? /(^|\.)localhost\.?$/i.test(host) : isIn(LOOPBACK, host);
}

function isIn(list: BlockList, ip: string): boolean {
  return list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
}

/**
 * @param list NO_PROXY: names (their subdomains included), IP addresses and CIDR ranges, each with :PORT if it is meant for
 *   that alone, separated by commas or blanks; `*` for everything
 */
function isNamed(target: HostPort, list: string): boolean {
  return list.split(/[\s,]+/).some(entry => entry === '*' || (entry !== '' && matches(target, entry)));
}

function matches({ host, port }: HostPort, entry: string): boolean {
  const [, bracketed, plain = '', wantedPort] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? ['', entry];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const name = bracketed ?? plain;
  if (isIP(host) !== 0) return matchesIp(host, name);
  const wanted = bare(name.replace(/^\*?\./, ''));
  return wanted !== '' && (bare(host) === wanted || bare(host).endsWith(`.${wanted}`));
}

function matchesIp(ip: string, entry: string): boolean {
  const [network = '', bits] = entry.split('/');
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  const most = family === 'ipv6' ? 128 : 32;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Infinity;
  if (isIP(network) === 0 || prefix > most) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, family);
  return isIn(list, ip);
}

function bare(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function bad(what: string, hint: string = FORM): WarrenError {
  return new WarrenError('bad-value', `The proxy's address ${what}.`, { hint });
}
