/**
 * Nodes of the same network find each other on a LAN by multicast DNS (RFC 6762, RFC 6763), without naming the
 * network to strangers: instance and host labels are random, and the TXT record holds a nonce and a MAC over it that
 * only a holder of the network secret can make or recognise.
 *
 *   announce: _warren._tcp  SRV host:port  TXT n=<nonce 16> m=<MAC 16>    (both base64url)
 *   found:    MAC matches one of our keys → the address is worth a dial; the handshake judges who is there
 */
import { networkInterfaces } from 'node:os';
import { Bonjour, type Browser, type Service } from 'bonjour-service';
import { concat, equal, fromBase64url, toBase64url, utf8 } from '../../protocol/bytes.js';
import type { Random, Timer, Timers } from '../../protocol/clock.js';
import type { Log } from '../observe/log.js';

const SERVICE_TYPE = 'warren';
const NONCE_BYTES = 16;
const MAC_BYTES = 16;
const LABEL = utf8('warren mdns v1');

/** How often interfaces are looked at anew and the query is repeated, ms. */
export const MDNS_RESCAN_MS = 20_000;

/** Addresses remembered at a time; a flood of announcements cannot grow it. */
export const MDNS_MAX_FOUND = 256;

/** Announcements of anybody that the library keeps for an interface; beyond, it forgets all and asks anew. */
export const MDNS_MAX_HEARD = 256;

/** One keyed hash per network secret that we hold, newest first. */
export type DiscoveryMac = (data: Uint8Array) => Uint8Array;

export interface DiscoveryOptions {
  /** MACs under the hint keys of the network secrets, newest first; the first one announces */
  readonly macs: () => readonly DiscoveryMac[];
  /** port of the daemon's listener; undefined: find only, announce nothing */
  readonly port: number | undefined;
  readonly random: Random;
  readonly timers: Timers;
  readonly log: Log;
  /** an address where a node of this network listens, HOST:PORT */
  readonly onFound: (address: string) => void;
  /** IPv4 addresses to announce and listen on; left out: all that can carry multicast */
  readonly addresses?: () => readonly string[];
  /** the library's end on one address; for tests */
  readonly responder?: (address: string, onError: (error: unknown) => void) => Bonjour;
}

/** TXT fields of an announcement. */
export interface Announcement {
  readonly n: string;
  readonly m: string;
}

function macInput(nonce: Uint8Array, port: number): Uint8Array {
  return concat(LABEL, nonce, Uint8Array.of(port >> 8, port & 0xff));
}

/** @param mac keyed with the newest network secret */
export function announce(mac: DiscoveryMac, nonce: Uint8Array, port: number): Announcement {
  return { n: toBase64url(nonce), m: toBase64url(mac(macInput(nonce, port)).subarray(0, MAC_BYTES)) };
}

/** True if the announcement was made with one of our network secrets. Anything malformed is false. */
export function recognise(macs: readonly DiscoveryMac[], txt: unknown, port: number): Uint8Array | undefined {
  if (typeof txt !== 'object' || txt === null) return undefined;
  const { n, m } = txt as Record<string, unknown>;
  if (typeof n !== 'string' || typeof m !== 'string') return undefined;
  let nonce: Uint8Array;
  let mac: Uint8Array;
  try {
    nonce = fromBase64url(n);
    mac = fromBase64url(m);
  } catch {
    return undefined;
  }
  if (nonce.length !== NONCE_BYTES || mac.length !== MAC_BYTES) return undefined;
  const input = macInput(nonce, port);
  return macs.some(make => equal(make(input).subarray(0, MAC_BYTES), mac)) ? nonce : undefined;
}

/** IPv4 addresses of interfaces that can carry multicast; loopback does not. */
function lanAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .filter(a => a.family === 'IPv4' && !a.internal)
    .map(a => a.address);
}

function respond(address: string, onError: (error: unknown) => void): Bonjour {
  // The library hands its options on to multicast-dns, whose types are wider than ServiceConfig.
  const options = { interface: address, bind: '0.0.0.0' } as unknown as ConstructorParameters<typeof Bonjour>[0];
  return new Bonjour(options, onError);
}

export class MdnsDiscovery {
  private readonly responders = new Map<string, Bonjour>();
  private readonly browsers = new Map<string, Browser>();
  private readonly found = new Map<string, number>();
  private readonly nonce: Uint8Array;
  private rescan: Timer | undefined;
  private stopped = false;

  constructor(private readonly options: DiscoveryOptions) {
    this.nonce = options.random(NONCE_BYTES);
  }

  /** Announces and queries on every interface; failures are logged, never thrown: a host without multicast works. */
  start(): void {
    if (this.stopped) return;
    const wanted = new Set((this.options.addresses ?? lanAddresses)());
    for (const [address, responder] of this.responders) {
      if (wanted.has(address)) continue;
      responder.destroy();
      this.responders.delete(address);
      this.browsers.delete(address);
    }
    for (const address of wanted) if (!this.responders.has(address)) this.serve(address);
    for (const browser of this.browsers.values()) {
      browser.update();
      for (const service of browser.services) this.up(service);
    }
    this.rescan = this.options.timers.after(MDNS_RESCAN_MS, () => this.start());
  }

  private serve(address: string): void {
    const fail = (error: unknown): void => {
      this.options.log.debug('mdns-failed', { address, error: String(error) }, 'multicast DNS does not work here');
    };
    try {
      const responder = (this.options.responder ?? respond)(address, fail);
      this.responders.set(address, responder);
      this.browse(address, responder);
      const newest = this.options.macs()[0];
      if (this.options.port === undefined || newest === undefined) return;
      const label = toBase64url(this.options.random(9)).toLowerCase();
      responder.publish({
        name: label,
        type: SERVICE_TYPE,
        port: this.options.port,
        host: `${label}.local`,
        txt: announce(newest, this.nonce, this.options.port),
        probe: false,
      });
    } catch (error) {
      fail(error);
    }
  }

  private browse(address: string, responder: Bonjour): void {
    const browser = responder.find({ type: SERVICE_TYPE }, service => {
      this.up(service);
      if (browser.services.length <= MDNS_MAX_HEARD || this.browsers.get(address) !== browser) return;
      // Anybody nearby can announce; of what the library keeps nothing else bounds the number.
      browser.stop();
      this.browse(address, responder);
    });
    browser.on('txt-update', service => this.up(service));
    this.browsers.set(address, browser);
  }

  private up(service: Service): void {
    const nonce = recognise(this.options.macs(), service.txt, service.port);
    if (nonce === undefined || equal(nonce, this.nonce)) return;
    const host = service.referer?.address;
    if (host === undefined) return;
    const address = host.includes(':') ? `[${host}]:${service.port}` : `${host}:${service.port}`;
    const now = this.options.timers.monotonic();
    const last = this.found.get(address);
    if (last !== undefined && now - last < MDNS_RESCAN_MS / 2) return;
    if (this.found.size >= MDNS_MAX_FOUND) this.found.clear();
    this.found.set(address, now);
    this.options.log.info('mdns-found', { address }, 'a node of this network announces itself nearby');
    this.options.onFound(address);
  }

  /** Says goodbye (TTL 0) and closes the sockets. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.rescan?.cancel();
    await Promise.all(
      [...this.responders.values()].map(
        responder =>
          new Promise<void>(resolve => {
            responder.unpublishAll(() => {
              responder.destroy();
              resolve();
            });
          }),
      ),
    );
    this.responders.clear();
    this.browsers.clear();
  }
}
