import { readFileSync } from 'node:fs';
import { parseTcpUri } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { AgentOptions } from './options.js';

const peersMax = 256;
const tokenPattern = /^[\x21-\x7e]{16,512}$/;

/**
 * The other hosts' agents, and what they are shown. With a peer token only the listed peers are asked: whoever may name a destination
 * could else have the token sent anywhere (threats, row 6). Without one, as on loopback, any peer is asked and shown nothing.
 */
export class Peers {
  /** For the apps of the own host, which are always trusted. */
  readonly own: { readonly token?: string };
  readonly #origins: ReadonlySet<string>;

  constructor(options: Pick<AgentOptions, 'peer' | 'peerTokenFile'>) {
    this.own = options.peerTokenFile === undefined ? {} : { token: readToken(options.peerTokenFile) };
    this.#origins = new Set(options.peer.map(originOf));
  }

  /** What the peer at `url` is shown. Throws `forbidden` for one that is not listed when there is something to show. */
  shown(url: string): { readonly token?: string } {
    if (this.own.token === undefined || this.#origins.has(originOf(url))) return this.own;
    throw new VmferryError('forbidden', `The peer ${originOf(url)} is not among the peers of this agent; add it with --peer.`);
  }

  /**
   * Throws `forbidden` for a stream to a host that is neither a listed peer's nor that of the agent which keeps the record, when there is a
   * list: a stream goes to another port than its agent, so the host is what counts (threats, row 6).
   */
  refuseForeignStream(streamUrl: string, agentUrl: string): void {
    const hosts = [...this.#origins, originOf(agentUrl)].map(hostOf);
    if (this.#origins.size === 0 || hosts.includes(hostOf(streamUrl))) return;
    throw new VmferryError(
      'forbidden',
      `The host ${hostOf(streamUrl)} of the stream is not of a peer of this agent; add it with --peer.`,
    );
  }

  /** One client per peer, so that its connections are kept; the oldest goes when there are over 256. */
  clients<C>(make: (url: string, shown: { readonly token?: string }) => C): (url: string) => C {
    const known = new Map<string, C>();
    return (url) => {
      const client = known.get(url) ?? make(url, this.shown(url));
      known.set(url, client);
      const [oldest] = known.keys();
      if (known.size > peersMax && oldest !== undefined) known.delete(oldest);
      return client;
    };
  }
}

/** In one spelling, so that two can be compared; a `tcp:` URI is no URL that a parser takes apart. */
function hostOf(url: string): string {
  const tcp = parseTcpUri(url);
  return new URL(typeof tcp === 'string' ? url : `http://${tcp.host}`).hostname;
}

function originOf(url: string): string {
  if (!URL.canParse(url)) throw new VmferryError('invalid-argument', `"${url.slice(0, 200)}" is no URL of a peer.`);
  return new URL(url).origin;
}

function readToken(path: string): string {
  const token = readFileSync(path, 'utf8').trim();
  if (tokenPattern.test(token)) return token;
  throw new VmferryError('invalid-argument', `The peer token in ${path} is not 16 to 512 printable characters without blanks.`);
}
