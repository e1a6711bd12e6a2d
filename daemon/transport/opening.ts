/**
 * One accepted connection, from its first byte to a finished handshake:
 *
 *   first byte ─┬─ magic ───────▶ preface ─▶ recognized? ─▶ Responder ─▶ NewLink        (raw)
 *               ├─ A–Z ─▶ HTTP ─▶ upgrade with a preface ─▶ recognized? ─▶ 101 ─▶ Responder ─▶ NewLink
 *               └─ anything else: a stranger
 *
 * A stranger gets no byte, except that HTTP gets a bare 404 (upgrade.ts), and is closed at once, whatever it was that
 * gave it away. Waiting out the deadline instead would hide one thing, where the preface ends, which is public anyway,
 * and would let it hold a place longer.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { EMPTY } from '../../protocol/bytes.js';
import { Responder } from '../../protocol/handshake/handshake.js';
import { recognize, type Recognition } from '../../protocol/handshake/preface.js';
import type { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import { MAGIC, PREFACE_BYTES } from '../../protocol/handshake/wire.js';
import type { Timers } from '../../protocol/clock.js';
import { drive, readPreface, type Outcome } from './drive.js';
import type { DropReason, HalfOpen } from './guard.js';
import { endOf } from './socket-transport.js';
import { TcpTransport } from './tcp.js';
import { NO_PROOF, dropWords, type OpeningReports } from './reports.js';
import type { NewLink, Transport } from './transport.js';
import type { UpgradeServer } from './upgrade.js';
import { WebSocketTransport } from './websocket.js';

/** What all openings of a listener share. */
export interface OpeningHost extends OpeningReports {
  readonly context: HandshakeContext;
  /** newest secret first; asked for each connection */
  psks(): readonly PskKeys[];
  readonly replay: ReplayGuard;
  readonly timers: Timers;
  readonly upgrades: UpgradeServer;
  onLink(link: NewLink): void;
}

const TLS_HANDSHAKE = 0x16;
const LETTER_A = 0x41;
const LETTER_Z = 0x5a;

export class Opening {
  private readonly remote: string;
  private place: HalfOpen | undefined;
  private heard = false;
  private over = false;
  private machine: Responder | undefined;

  constructor(
    private readonly host: OpeningHost,
    private readonly socket: Socket,
  ) {
    this.remote = endOf(socket.remoteAddress, socket.remotePort) ?? 'unknown';
    // Whatever breaks, 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.place?.done());
  }

  /** @param place from the guard, which calls `drop` when it takes it away */
  start(place: HalfOpen): void {
    this.place = place;
    this.socket.once('data', (chunk: Buffer) => this.firstBytes(chunk));
  }

  drop(why: DropReason): void {
    this.turnAway(dropWords(why, this.heard));
  }

  private firstBytes(chunk: Buffer): void {
    this.heard = true;
    const first = chunk[0]!;
    if (first === MAGIC[0]) this.raw(chunk);
    else if (first >= LETTER_A && first <= LETTER_Z) this.host.upgrades.adopt(this.socket, chunk, this);
    else this.turnAway(first === TLS_HANDSHAKE ? 'it began a TLS handshake' : 'it sent something unknown');
  }

  /** Nearly always the preface comes in one piece: then nothing is made for who proves nothing. */
  private raw(head: Buffer): void {
    const { socket, host } = this;
    if (head.length >= PREFACE_BYTES) {
      const bytes = new Uint8Array(head.buffer, head.byteOffset, head.length);
      const [preface, rest] = [bytes.subarray(0, PREFACE_BYTES), bytes.subarray(PREFACE_BYTES)];
      this.tried(preface, recognition =>
        this.answer(new TcpTransport(socket, host.timers), recognition, preface, rest),
      );
      return;
    }
    const transport = new TcpTransport(socket, host.timers, head);
    readPreface(transport, (preface, rest) =>
      this.tried(preface, recognition => this.answer(transport, recognition, preface, rest)),
    );
  }

  private tried(preface: Uint8Array, goOn: (recognition: Recognition) => void): void {
    const recognition = this.recognize(preface);
    if (recognition === undefined) this.turnAway(NO_PROOF);
    else goOn(recognition);
  }

  /** From upgrade.ts too: the proof is the same over HTTP. */
  recognize(preface: Uint8Array): Recognition | undefined {
    const recognition = recognize(this.host.context, preface, this.host.psks(), this.host.replay);
    if (recognition !== undefined) this.place?.proven();
    return recognition;
  }

  /** From upgrade.ts: the preface was good and the 101 is sent. */
  upgraded(ws: WebSocket, recognition: Recognition, preface: Uint8Array): void {
    this.answer(new WebSocketTransport(ws, this.socket, this.host.timers), recognition, preface, EMPTY);
  }

  /** From upgrade.ts: a bare 404 is on its way, and the place is held until the socket has closed. */
  refused(why: string): void {
    if (this.over) return;
    this.host.stranger(this.remote, why);
    this.over = true;
  }

  private answer(transport: Transport, recognition: Recognition, preface: Uint8Array, rest: Uint8Array): void {
    if (recognition.kind === 'version') {
      this.host.versionMismatch(this.remote, recognition.why);
      this.over = true;
      transport.write([recognition.reply]);
      transport.close();
      return;
    }
    this.machine = new Responder(this.host.context, recognition, preface, this.host.replay);
    drive(transport, this.machine, rest, outcome => this.outcome(transport, outcome));
  }

  private outcome(transport: Transport, outcome: Outcome): void {
    if (outcome.kind !== 'established') {
      this.turnAway(outcome.why);
      return;
    }
    this.over = true;
    this.place?.done();
    const { established, rest } = outcome;
    this.host.onLink({ transport, established, rest, direction: 'accepted', address: this.remote });
  }

  /** Closes without a byte. @param why for the log; undefined when there is nothing to say */
  private turnAway(why: string | undefined): void {
    if (!this.over && why !== undefined) {
      if (this.machine === undefined) this.host.stranger(this.remote, why);
      else this.host.failed(this.remote, why);
    }
    this.over = true;
    this.machine?.destroy();
    this.socket.destroy();
  }
}
