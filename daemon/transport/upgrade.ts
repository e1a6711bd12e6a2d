/**
 * The HTTP side of the listening port. A GET that upgrades to WebSocket and carries a good preface in
 * Sec-WebSocket-Protocol gets its 101; all else, malformed or not, gets the same 45 bytes, so that a stranger cannot
 * tell an upgrade without proof from any other request. Every path will do: a web server in front may rewrite it.
 *
 * The HTTP server here never listens: connections are handed to it. Slow headers are the guard's business, whose
 * deadline runs already.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { fromSubprotocol, type Recognition } from '../../protocol/handshake/preface.js';
import type { Timers } from '../../protocol/clock.js';
import { WS_SERVER_OPTIONS } from './websocket.js';

export const BARE_404 = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
/** Bytes of request line and headers; a proxy in front adds some of its own. */
export const HTTP_HEADER_MAX = 8 * 1024;
export const HTTP_HEADERS_MAX = 64;
/** How long the other side may take to read its 404 and close, ms. */
export const HTTP_LINGER_MS = 1_000;

/** The connection that a request came in on. */
export interface Upgradable {
  /** @returns undefined for a preface that proves nothing, or was seen before */
  recognize(preface: Uint8Array): Recognition | undefined;
  /** called once, after the 101 */
  upgraded(ws: WebSocket, recognition: Recognition, preface: Uint8Array): void;
  /** called once, when the 404 is written */
  refused(why: string): void;
}

export class UpgradeServer {
  private readonly http: Server;
  private readonly webSocket = new WebSocketServer({
    ...WS_SERVER_OPTIONS,
    handleProtocols: (offered: Set<string>) => [...offered][0] ?? false,
  });
  /** connections that have not had their answer */
  private readonly owners = new WeakMap<object, Upgradable>();

  constructor(private readonly timers: Timers) {
    this.http = createServer({ maxHeaderSize: HTTP_HEADER_MAX, requireHostHeader: false });
    this.http.maxHeadersCount = HTTP_HEADERS_MAX;
    const refuse = (request: IncomingMessage): void => this.refuse(request.socket, 'it sent an HTTP request');
    this.http.on('request', refuse);
    this.http.on('checkContinue', refuse);
    this.http.on('checkExpectation', refuse);
    this.http.on('connect', refuse);
    this.http.on('clientError', (_error, socket) => this.refuse(socket, 'it sent malformed HTTP'));
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    // ws would explain what is wrong with a request.
    this.webSocket.on('wsClientError', (_error, socket) => this.refuse(socket, 'it sent a malformed upgrade'));
  }

  /**
   * Takes a connection over.
   * @param head what was read from it so far
   */
  adopt(socket: Socket, head: Buffer, owner: Upgradable): void {
    this.owners.set(socket, owner);
    socket.pause();
    this.http.emit('connection', socket);
    socket.unshift(head);
    socket.resume();
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const owner = this.owners.get(socket);
    if (owner === undefined) return;
    const preface = fromSubprotocol(request.headers['sec-websocket-protocol']);
    const isUpgrade = request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket';
    if (!isUpgrade || preface === undefined) {
      this.refuse(socket, 'it asked for an upgrade without a preface');
      return;
    }
    const recognition = owner.recognize(preface);
    if (recognition === undefined) {
      this.refuse(socket, 'it asked for an upgrade with a preface that proves no secret of this network');
      return;
    }
    this.webSocket.handleUpgrade(request, socket, head, ws => {
      this.owners.delete(socket);
      owner.upgraded(ws, recognition, preface);
    });
  }

  /** The same answer to everything, once per connection; then the other side has a moment to read it. */
  private refuse(socket: Duplex, why: string): void {
    const owner = this.owners.get(socket);
    if (owner === undefined) return;
    this.owners.delete(socket);
    owner.refused(why);
    if (socket.writable) socket.end(BARE_404);
    socket.resume();
    this.timers.after(HTTP_LINGER_MS, () => socket.destroy());
  }
}
