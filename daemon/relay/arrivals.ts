/**
 * Relayed links that come to this node: the stream that a relay brings takes the way of a raw connection, from preface
 * to handshake, under the same deadline and caps of its own. Who the origin is, the handshake inside proves; what the
 * relay says of it counts for the caps and the log.
 */
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { Responder } from '../../protocol/handshake/handshake.js';
import { recognize, type Recognition } from '../../protocol/handshake/preface.js';
import type { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import { parseNodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { OpenRequest, StreamHandler } from '../../protocol/session/index.js';
import { relayAddress } from '../transport/address.js';
import { drive, readPreface, type Outcome } from '../transport/drive.js';
import { Guard, type DropReason, type GuardLimits, type HalfOpen } from '../transport/guard.js';
import { NO_PROOF, dropWords, type OpeningReports } from '../transport/reports.js';
import type { NewLink } from '../transport/transport.js';
import { RelayTransport } from './transport.js';
import { METADATA_FROM, RELAY_SERVICE, type RelayStream } from './types.js';

export interface ArrivalsHost {
  readonly context: () => HandshakeContext;
  /** newest secret first; asked for each arrival */
  readonly psks: () => readonly PskKeys[];
  readonly replay: ReplayGuard;
  readonly timers: Timers;
  readonly limits: GuardLimits;
  readonly reports: OpeningReports;
  /** a handshake is done; the receiver owns the transport from here on */
  readonly onLink: (link: NewLink) => void;
}

export class RelayedArrivals {
  private readonly guard: Guard;

  constructor(private readonly host: ArrivalsHost) {
    this.guard = new Guard(host.limits, host.timers);
  }

  /** Relayed links whose handshake is not done. */
  get size(): number {
    return this.guard.size;
  }

  /** @param relay the peer that brings it */
  incoming(stream: RelayStream, request: OpenRequest, relay: NodeIdText): StreamHandler | Code {
    if (request.service !== RELAY_SERVICE) return 'no-service';
    const transport = new RelayTransport(relay, this.host.timers);
    transport.attach(stream);
    const arrival = new Arrival(this.host, transport);
    const from = request.metadata?.get(METADATA_FROM) ?? '';
    // One origin cannot use up the places of another, nor one relay those of another relay's origins.
    const source = `${relayAddress(relay)} ${parseNodeId(from) === undefined ? 'unknown' : from.toLowerCase()}`;
    const place = this.guard.admit(source, why => arrival.drop(why));
    if (place === undefined) return 'limit';
    stream.accept();
    arrival.start(place);
    return transport;
  }

  /** Drops all that are not done. */
  close(): void {
    this.guard.close();
  }
}

class Arrival {
  private place: HalfOpen | undefined;
  private machine: Responder | undefined;
  private heard = false;
  private over = false;

  constructor(
    private readonly host: ArrivalsHost,
    private readonly transport: RelayTransport,
  ) {}

  start(place: HalfOpen): void {
    this.place = place;
    this.transport.onClose(why => this.turnAway(why));
    readPreface(this.transport, (preface, rest) => {
      this.heard = true;
      const { context, psks, replay } = this.host;
      const recognition = recognize(context(), preface, psks(), replay);
      if (recognition === undefined) this.turnAway(NO_PROOF);
      else this.answer(recognition, preface, rest);
    });
  }

  drop(why: DropReason): void {
    this.turnAway(dropWords(why, this.heard));
  }

  private answer(recognition: Recognition, preface: Uint8Array, rest: Uint8Array): void {
    const { host, transport } = this;
    this.place?.proven();
    if (recognition.kind === 'version') {
      host.reports.versionMismatch(transport.remote, recognition.why);
      this.end();
      transport.write([recognition.reply]);
      transport.close();
      return;
    }
    this.machine = new Responder(host.context(), recognition, preface, host.replay);
    drive(transport, this.machine, rest, outcome => this.outcome(outcome));
  }

  private outcome(outcome: Outcome): void {
    if (outcome.kind !== 'established') return this.turnAway(outcome.why);
    this.end();
    const { transport } = this;
    const { established, rest } = outcome;
    this.host.onLink({ transport, established, rest, direction: 'accepted', address: transport.remote });
  }

  /** Ends the stream without a byte. @param why for the log; undefined when there is nothing to say */
  private turnAway(why: string | undefined): void {
    if (this.over) return;
    const { reports } = this.host;
    if (why !== undefined) {
      if (this.machine === undefined) reports.stranger(this.transport.remote, why);
      else reports.failed(this.transport.remote, why);
    }
    this.end();
    this.machine?.destroy();
    this.transport.abort();
  }

  private end(): void {
    this.over = true;
    this.place?.done();
  }
}
