import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const headBytesMax = 16_384;

/**
 * What stands before the peer port of one member of an etcd, and can be cut: members name themselves in each request to another (`X-PeerURLs`), so that
 * a link knows who calls.
 */
export class PeerLink {
  readonly url: string;
  readonly #server: Server;
  readonly #calls = new Map<Socket, string>();
  /** The link of the member that is cut off from the others. */
  #gone: string | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(port: number): Promise<PeerLink> {
    let link: PeerLink | null = null;
    const server = createServer((caller) => void link?.take(caller, port)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    link = new PeerLink(server);
    return link;
  }

  cut(gone: string | null): void {
    this.#gone = gone;
    for (const [caller, from] of this.#calls) if (this.#isCut(from)) caller.destroy();
  }

  close(): void {
    this.#server.close();
    for (const caller of this.#calls.keys()) caller.destroy();
  }

  take(caller: Socket, port: number): void {
    let head = Buffer.alloc(0);
    caller.on('error', () => caller.destroy());
    const listen = (bytes: Buffer) => {
      head = Buffer.concat([head, bytes]);
      if (!head.includes('\r\n\r\n') && head.length < headBytesMax) return;
      caller.off('data', listen).pause();
      const from = /^x-peerurls: *(\S+)/im.exec(head.toString('latin1'))?.[1] ?? '';
      if (this.#isCut(from)) caller.destroy();
      else this.#pass(caller, from, head, port);
    };
    caller.on('data', listen);
  }

  #pass(caller: Socket, from: string, head: Buffer, port: number): void {
    const member = connect(port, '127.0.0.1');
    this.#calls.set(caller, from);
    member.on('error', () => caller.destroy());
    member.write(head);
    member.pipe(caller).pipe(member);
    caller.once('close', () => {
      this.#calls.delete(caller);
      member.destroy();
    });
  }

  /** While one is cut off, whoever does not say who he is may be that one. */
  #isCut(from: string): boolean {
    return this.#gone !== null && (this.#gone === this.url || from === '' || from.includes(this.#gone));
  }
}
