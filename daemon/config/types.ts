/**
 * The configuration as the rest of the daemon sees it: complete (defaults filled in), checked, frozen.
 * schema.ts makes it out of the YAML file; docs/operations.md describes every key.
 */
import type { LogLevel } from '../observe/log.js';
import type { Limits } from './limits.js';

export interface NodeConfig {
  /** what the file says; undefined: the host's name is taken at the start and written to the file */
  readonly name: string | undefined;
  /** HOST:PORT each; empty: no listener */
  readonly listen: readonly string[];
  /** HOST:PORT, ws:// or wss://; empty: what the listeners give */
  readonly advertise: readonly string[];
  readonly mdns: boolean;
  /** links kept up with each peer, 1 to 8 */
  readonly links: number;
  /** http:// or https://, credentials allowed; `none`: no proxy; undefined: what HTTPS_PROXY says. A secret: see showProxySetting */
  readonly proxy: string | undefined;
  /** carries links of other members through this node */
  readonly relay: boolean;
  /** which AEAD this node picks when it dials; undefined: its own choice */
  readonly suite: 'ChaChaPoly' | 'AESGCM' | undefined;
  readonly logLevel: LogLevel;
}

export interface ServiceConfig {
  /** PORT | HOST:PORT | unix:PATH */
  readonly target: string;
  readonly version: string | undefined;
  readonly description: string | undefined;
  readonly tags: readonly string[];
  /** node name, `tag:T` or node ID; any entry makes everybody else denied */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface TunnelConfig {
  /** PORT | HOST:PORT | unix:PATH, at least one; port 0: a free port, remembered */
  readonly listen: readonly string[];
}

export interface KeysConfig {
  /** how long this node's keys are used before they are rotated, ms; undefined: until somebody rotates them */
  readonly rotateMs: number | undefined;
}

export interface Config {
  readonly node: NodeConfig;
  readonly keys: KeysConfig;
  /** by name, in the file's order; names are unique without regard to case */
  readonly services: ReadonlyMap<string, ServiceConfig>;
  /** by service name */
  readonly tunnels: ReadonlyMap<string, TunnelConfig>;
  /** addresses dialed besides those of the registry and mDNS */
  readonly peers: readonly string[];
  /** every named limit, with its default where the file says nothing */
  readonly limits: Limits;
}

/** What an edit of the file may write. */
export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain };

/** One entry of a section gets a value, or goes away. */
export interface Edit {
  readonly section: 'node' | 'services' | 'tunnels';
  readonly key: string;
  /** undefined: the entry is removed */
  readonly value: Plain | undefined;
}
