/**
 * What the admin server asks of the daemon: one method per path of protocol/admin/contract.ts. Requests arrive checked
 * (validate.ts); a WarrenError that a method throws becomes the error reply, anything else a 500 without details.
 */
import type { Duplex } from 'node:stream';
import type {
  BackupReply,
  BackupRequest,
  ConnectReply,
  ConnectRequest,
  DetachRequest,
  Diagnostics,
  DoctorReply,
  Done,
  ExposeReply,
  ExposeRequest,
  InviteReply,
  InviteRequest,
  JoinReply,
  JoinRequest,
  KeyLogReply,
  KeysReply,
  PeersReply,
  PingReply,
  PingRequest,
  ReloadReply,
  RoleRequest,
  RotateReply,
  RotateRequest,
  ServicesReply,
  SettleRequest,
  ShutdownReply,
  ShutdownRequest,
  Status,
  StreamEnd,
  TunnelsReply,
} from '../../protocol/admin/contract.js';

/** A reply; the server adds `apiVersion` where it is left out. */
export type Answer<T> = T | Omit<T, 'apiVersion'>;
type Later<T> = Answer<T> | Promise<Answer<T>>;

/** Aborts when the client goes away before the answer: a ping or a join need not be finished then. */
export interface Asked {
  readonly signal: AbortSignal;
}

/** The recent lines of the log, and those to come (observe/ring.ts implements it). */
export interface LogSource {
  /** at most `count` lines, oldest first, without line feeds */
  recent(count: number): readonly string[];
  /** @returns stops the calls */
  follow(line: (text: string) => void): () => void;
}

/** Carries the raw connection that follows a 101; it owns the socket from then on and must handle its errors. */
export type StreamCarrier = ((socket: Duplex) => void) & {
  /** by which the stream's end can be asked for */
  readonly id?: number;
};

export interface AdminApi {
  readonly logs: LogSource;
  status(): Later<Status>;
  /** @param options collect: frees what is garbage first, so that figures can be compared */
  diagnostics(options?: { readonly collect: boolean }): Later<Diagnostics>;
  peers(): Later<PeersReply>;
  /** @param node name or node ID */
  removePeer(node: string): Later<Done>;
  ping(node: string, request: PingRequest, asked: Asked): Later<PingReply>;
  invite(request: InviteRequest): Later<InviteReply>;
  join(request: JoinRequest, asked: Asked): Later<JoinReply>;
  services(): Later<ServicesReply>;
  expose(name: string, request: ExposeRequest): Later<ExposeReply>;
  unexpose(name: string): Later<Done>;
  tunnels(): Later<TunnelsReply>;
  connect(request: ConnectRequest): Later<ConnectReply>;
  disconnect(service: string): Later<Done>;
  /** @throws WarrenError when no stream can be had, before the 101 is sent */
  openStream(service: string, asked: Asked): StreamCarrier | Promise<StreamCarrier>;
  /** @throws WarrenError `not-found` when there was no such stream, or too many since */
  streamEnd(id: number): Later<StreamEnd>;
  keys(): Later<KeysReply>;
  keyLog(): Later<KeyLogReply>;
  rotateKeys(request: RotateRequest): Later<RotateReply>;
  detachNext(request: DetachRequest): Later<RotateReply>;
  /** @param node name, node ID, or the name of a node that was a member */
  revoke(node: string): Later<Done>;
  settle(node: string, request: SettleRequest): Later<Done>;
  setRole(node: string, request: RoleRequest): Later<Done>;
  backup(request: BackupRequest): Later<BackupReply>;
  doctor(): Later<DoctorReply>;
  reload(): Later<ReloadReply>;
  /** Begins the drain; returns at once. */
  shutdown(request: ShutdownRequest): Later<ShutdownReply>;
}
