import { BlockList, isIP } from 'node:net';
import { VmferryError } from '@vmferry/errors';

export interface ListeningOptions {
  /** The host that this agent listens on, as it was told: an address, or a name. */
  readonly agent: string;
  /** The same of its relay, as this agent reaches it; null without one. */
  readonly relay: string | null;
  /** The addresses that this host has at this moment. */
  readonly addresses: () => readonly string[];
}

/**
 * Where the streams of this host are taken. QEMU never listens in vmferry, so a `listenAddress` opens nothing: it is the wish that the stream
 * be taken at that address, and is granted where the agent, or for a tunnel its relay, listens there already.
 */
export class Listening {
  readonly #options: ListeningOptions;

  constructor(options: ListeningOptions) {
    this.#options = options;
  }

  /** Throws `invalid-argument`. */
  refuseUnlessListening(address: string, transport: 'direct' | 'tunnelled'): void {
    const { agent, relay, addresses } = this.#options;
    const at = transport === 'direct' ? agent : (relay ?? agent);
    if (covers(at, address) && (at === address || addresses().some((own) => isSame(own, address)))) return;
    const who = transport === 'direct' ? 'the agent' : 'the relay';
    throw new VmferryError(
      'invalid-argument',
      `The stream cannot be taken at ${address}: QEMU does not listen, and ${who} of this host listens on ${at}.`,
    );
  }
}

/** An unspecified address covers those of its family; the IPv6 one covers both. */
function covers(listening: string, wanted: string): boolean {
  if (listening === '::') return true;
  if (listening === '0.0.0.0') return isIP(wanted) === 4;
  return isSame(listening, wanted);
}

/** Two spellings of one address are the same. */
function isSame(one: string, other: string): boolean {
  const version = isIP(one);
  if (version === 0 || version !== isIP(other)) return false;
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addAddress(one, family);
  return list.check(other, family);
}
