/** The path between the two hosts of the demo: a plain TCP forwarder whose connections can be cut at any moment. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export class Cable {
  private readonly server = createServer(socket => this.forward(socket));
  private readonly sockets = new Set<Socket>();
  private target: string | undefined;

  private constructor() {}

  static async lay(): Promise<Cable> {
    const cable = new Cable();
    cable.server.listen(0, '127.0.0.1');
    await once(cable.server, 'listening');
    return cable;
  }

  /** Where its near end is: HOST:PORT. */
  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** @param address where its far end is: HOST:PORT */
  lead(address: string): void {
    this.target = address;
  }

  /** Ends every connection that is in it, at once. @returns how many there were */
  cut(): number {
    const count = this.sockets.size / 2;
    for (const socket of this.sockets) socket.resetAndDestroy();
    return count;
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  private forward(near: Socket): void {
    const [host, port] = (this.target ?? ':').split(':');
    const far = connect({ host: host!, port: Number(port) });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far).pipe(near);
  }
}
