/**
 * The admin API's contract, shared by daemon and CLI: HTTP/1.1 with JSON over a unix socket (mode 0600) in the home.
 * Paths, request and reply types, error codes. Keys are camelCase and stable within an API version.
 */
import type { ErrorCode } from '../errors.js';

export const API_VERSION = 1;

/** The socket's file name inside the home. */
export const ADMIN_SOCKET = 'admin.sock';

/** Largest request body that the daemon reads, bytes. */
export const ADMIN_MAX_BODY = 64 * 1024;

/** Links that may be asked for with each peer, at most. */
export const MAX_LINKS = 8;

export const PATHS = {
  status: '/v1/status', // GET → Status
  diagnostics: '/v1/diagnostics', // GET → Diagnostics · POST → Diagnostics after a forced garbage collection
  peers: '/v1/peers', // GET → PeersReply
  peer: '/v1/peers/:node', // DELETE → Done
  ping: '/v1/peers/:node/ping', // POST PingRequest → PingReply
  role: '/v1/peers/:node/role', // PUT RoleRequest → Done
  invites: '/v1/invites', // POST InviteRequest → InviteReply
  join: '/v1/join', // POST JoinRequest → JoinReply
  services: '/v1/services', // GET → ServicesReply
  service: '/v1/services/:name', // PUT ExposeRequest → ExposeReply · DELETE → Done
  tunnels: '/v1/tunnels', // GET → TunnelsReply · POST ConnectRequest → ConnectReply
  tunnel: '/v1/tunnels/:service', // DELETE → Done
  stream: '/v1/streams/:service', // GET with `Upgrade: warren-stream` → 101, then the service's bytes
  streamEnd: '/v1/stream-ends/:id', // GET → StreamEnd of the stream whose 101 said `Warren-Stream: ID`
  logs: '/v1/logs', // GET ?follow=1&lines=N → application/x-ndjson
  keys: '/v1/keys', // GET → KeysReply
  keyLog: '/v1/keys/log', // GET → KeyLogReply
  keysRotate: '/v1/keys/rotate', // POST RotateRequest → RotateReply
  keysDetach: '/v1/keys/detach-next', // POST DetachRequest → RotateReply
  revocation: '/v1/keys/revocations/:node', // PUT → Done
  settlement: '/v1/keys/settlements/:node', // PUT SettleRequest → Done
  backup: '/v1/keys/backup', // POST BackupRequest → BackupReply
  doctor: '/v1/doctor', // GET → DoctorReply
  reload: '/v1/reload', // POST → ReloadReply
  shutdown: '/v1/shutdown', // POST ShutdownRequest → ShutdownReply
} as const;

/** Body of every reply with a status of 400 and more. */
export interface ErrorReply {
  readonly apiVersion: 1;
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint?: string };
}

/** HTTP status by error code; anything not named here is 500. */
export const HTTP_STATUS: Partial<Record<ErrorCode, number>> = {
  usage: 400,
  'bad-value': 400,
  config: 422,
  'not-found': 404,
  exists: 409,
  'in-use': 409,
  member: 409,
  'not-admin': 403,
  denied: 403,
  passphrase: 422,
  token: 422,
  unreachable: 502,
  timeout: 504,
  limit: 429,
  version: 502,
};

interface Reply {
  readonly apiVersion: 1;
}

export interface Done extends Reply {
  readonly done: true;
  /** A sentence worth telling, e.g. how many streams ended. */
  readonly note?: string;
}

/** relay: through another member, with a handshake of its own inside */
export type LinkTransport = 'tcp' | 'websocket' | 'relay';

export interface LinkInfo {
  readonly transport: LinkTransport;
  /** remote address, HOST:PORT or URL; relay:NODEID when relayed */
  readonly address: string;
  /** name of the member that relays it; null for a direct link */
  readonly via: string | null;
  readonly direction: 'dialed' | 'accepted';
  /** smoothed round-trip time; null before the first measurement */
  readonly rttMs: number | null;
  readonly suite: 'ChaChaPoly' | 'AESGCM';
  /** ISO 8601 */
  readonly since: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly rekeys: number;
}

/** connected: a live session with a link · held: a session without a link · connecting: dialing · down: nothing · denied */
export type PeerState = 'connected' | 'held' | 'connecting' | 'down' | 'denied';

export interface PeerInfo {
  readonly name: string;
  /** text form of the node ID */
  readonly id: string;
  readonly state: PeerState;
  /** key-log sequence number known here */
  readonly seq: number;
  readonly admin: boolean;
  readonly tags: readonly string[];
  /** ISO 8601; null when the grant is unknown */
  readonly grantExpires: string | null;
  readonly links: readonly LinkInfo[];
  /** links that there have been since this daemon started, those of `links` included */
  readonly linksUp: number;
  /** rekeys of all of them */
  readonly rekeys: number;
  readonly streams: number;
  /** ISO 8601 of the last time a link was up; null: never in this daemon's life */
  readonly lastSeen: string | null;
  /** why it is not connected, one sentence */
  readonly problem: string | null;
  /** addresses the registry tells, best first */
  readonly addresses: readonly string[];
}

export interface PeersReply extends Reply {
  readonly peers: readonly PeerInfo[];
}

/** One instance of a service: where it is and what is known of it. */
export interface InstanceInfo {
  readonly node: string;
  readonly nodeId: string;
  readonly version: string | null;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly reachable: boolean;
}

export interface ExposedInfo {
  readonly name: string;
  readonly target: string;
  readonly version: string | null;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly openStreams: number;
  readonly totalStreams: number;
  readonly deniedStreams: number;
  readonly failedStreams: number;
}

/**
 * listening: open for callers · unreachable: no node that exposes the service can be reached now · waiting: nobody
 * exposes it now · failed: the listener could not be bound
 */
export type TunnelState = 'listening' | 'unreachable' | 'waiting' | 'failed';

export interface TunnelInfo {
  readonly service: string;
  /** real address: "127.0.0.1:6380" or "unix:/path" */
  readonly listen: string;
  readonly state: TunnelState;
  readonly instances: number;
  readonly openStreams: number;
  readonly totalStreams: number;
  readonly denied: number;
  readonly failed: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly problem: string | null;
}

export interface Status extends Reply {
  readonly version: string;
  readonly pid: number;
  readonly home: string;
  /** ISO 8601 */
  readonly since: string;
  /** ready: serving · draining: on its way out */
  readonly state: 'ready' | 'draining';
  readonly network: { readonly id: string; readonly members: number };
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly seq: number;
    readonly admin: boolean;
    readonly tags: readonly string[];
    readonly grantExpires: string | null;
  };
  /** strings with real ports */
  readonly listen: readonly string[];
  readonly advertise: readonly string[];
  readonly mdns: boolean;
  /** through which links are dialed, without credentials; null: none */
  readonly proxy: string | null;
  readonly peers: readonly PeerInfo[];
  readonly services: readonly ExposedInfo[];
  readonly tunnels: readonly TunnelInfo[];
  /** whether this node carries links between other members, and how many it carries now */
  readonly relay: { readonly on: boolean; readonly links: number };
  /** what the operator should know: alarms, unreadable peers, an old config */
  readonly warnings: readonly string[];
}

export interface Diagnostics extends Reply {
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  /** streams in all sessions, sockets and timers held now: equal to their start values when idle */
  readonly streams: number;
  readonly sockets: number;
  readonly timers: number;
  readonly links: number;
  readonly halfOpen: number;
  /** bytes kept for resending, buffered out of order, and granted as unconsumed credit */
  readonly retainedBytes: number;
  readonly reorderBytes: number;
  readonly grantedBytes: number;
  readonly counters: Readonly<Record<string, number>>;
}

/** A unix socket's end does not tell a break from the end of the data; this does. */
export interface StreamEnd extends Reply {
  /** false while the stream, or one direction of it, goes on */
  readonly ended: boolean;
  /** what broke it; null when nothing has */
  readonly error: ErrorReply['error'] | null;
}

export interface PingRequest {
  /** 1–100, default 4 */
  readonly count?: number;
}

export interface PingReply extends Reply {
  readonly node: string;
  readonly nodeId: string;
  readonly transport: LinkTransport;
  /** one entry per ping; null: no answer in time */
  readonly rttMs: readonly (number | null)[];
}

export interface InviteRequest {
  /** seconds, 60 … 7 days; default 900 */
  readonly ttlSeconds?: number;
  readonly tags?: readonly string[];
  /** the one node that may use it: name, node ID, or the name of a revoked node */
  readonly forNode?: string;
}

export interface InviteReply extends Reply {
  readonly token: string;
  /** ISO 8601 */
  readonly expires: string;
  readonly addresses: readonly string[];
  readonly tags: readonly string[];
}

export interface JoinRequest {
  readonly token: string;
}

export interface JoinReply extends Reply {
  readonly networkId: string;
  readonly name: string;
  readonly inviter: string;
  /** set when the home was a member of that network already and the token was left alone */
  readonly note?: string;
}

export interface ServiceInfo {
  readonly name: string;
  readonly local: ExposedInfo | null;
  /** remote instances */
  readonly instances: readonly InstanceInfo[];
  /** addresses of local tunnels to it */
  readonly tunnels: readonly string[];
}

export interface ServicesReply extends Reply {
  readonly services: readonly ServiceInfo[];
}

export interface ExposeRequest {
  /** PORT | HOST:PORT | unix:PATH */
  readonly target: string;
  readonly version?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

export interface ExposeReply extends Reply {
  readonly service: ExposedInfo;
}

export interface ConnectRequest {
  readonly service: string;
  /** PORT | HOST:PORT | unix:PATH; left out: a free port */
  readonly listen?: string;
}

export interface ConnectReply extends Reply {
  readonly service: string;
  readonly listen: string;
  /** e.g. nobody exposes that service yet */
  readonly warning?: string;
}

export interface TunnelsReply extends Reply {
  readonly tunnels: readonly TunnelInfo[];
}

export interface KeysReply extends Reply {
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly fingerprint: string;
    /** the beginning of the ID as 12 words, for reading out */
    readonly words: string;
  };
  readonly network: { readonly id: string };
  readonly seq: number;
  /** of the newest statement, hexadecimal: what `settle` is told when a log is forked */
  readonly hash: string;
  /** ISO 8601 of the newest statement */
  readonly since: string;
  readonly grantExpires: string | null;
  readonly nextKey: string;
  /** the file that holds it; null when it lies in the home */
  readonly nextKeyFile: string | null;
}

export interface RotateRequest {
  /** default routine */
  readonly reason?: 'routine' | 'compromised';
  /** absolute path of the file of the next key */
  readonly nextFile?: string;
  /** of that file */
  readonly passphrase?: string;
  /** compromised: which of the things this node had signed count on; default signed-here */
  readonly affirm?: 'signed-here' | 'all' | 'none';
  /** a new secret of the network; alone, this node's keys stay as they are */
  readonly networkSecret?: boolean;
}

export interface RotateReply extends Reply {
  readonly seq: number;
  /** of the newest statement, hexadecimal */
  readonly hash: string;
  /** null: the keys of this node stayed as they were */
  readonly reason: 'routine' | 'compromised' | null;
  readonly nextKey: string;
  /** null: the secret of the network stayed as it was */
  readonly networkSecretEpoch: number | null;
  /** members whose admission counts no more: name or short ID */
  readonly notAffirmed: readonly string[];
}

export interface DetachRequest {
  /** absolute path of a file that does not exist yet */
  readonly file: string;
  readonly passphrase?: string;
}

export interface RoleRequest {
  readonly action: 'promote' | 'demote';
}

export interface SettleRequest {
  /** hash of the statement that stands, hexadecimal, or its beginning (8 characters at least) */
  readonly standing: string;
}

export interface KeyLogReply extends Reply {
  readonly statements: readonly {
    readonly seq: number;
    readonly hash: string;
    readonly time: string;
    readonly reason: string;
    readonly signingKey: string;
    readonly noiseStatic: string;
    readonly nextKeyHash: string;
  }[];
}

export interface BackupRequest {
  /** seals the backup */
  readonly passphrase: string;
}

export interface BackupReply extends Reply {
  /** the text of the file, sealed */
  readonly document: string;
}

export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly hint?: string;
}

export interface DoctorReply extends Reply {
  readonly checks: readonly DoctorCheck[];
}

export interface ReloadReply extends Reply {
  /** one sentence per change applied; empty: nothing differed */
  readonly changes: readonly string[];
  /** changes that need a restart */
  readonly restartNeeded: readonly string[];
}

export interface ShutdownRequest {
  /** drain deadline in seconds, default 10 */
  readonly drainSeconds?: number;
  /** tell callers that it comes back */
  readonly restart?: boolean;
}

export interface ShutdownReply extends Reply {
  readonly pid: number;
  readonly openStreams: number;
  /** who starts the next daemon when `restart` was asked: the `warren up` that holds it in the foreground, or the caller */
  readonly respawn: 'parent' | 'caller' | 'nobody';
  /** of a protected home, for the caller that starts the next daemon: `StartRequest.handedOver`. As secret as the keys */
  readonly handOver?: string;
}

/** One line of `warren logs`: pino's NDJSON with stable field names (docs/operations.md). */
export interface LogLine {
  readonly time: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly event: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}
