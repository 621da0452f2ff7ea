import { BlockList, isIP } from 'node:net';
import { VmferryError } from '@vmferry/errors';

export interface ListeningOptions {
  /** The host that this agent listens on, as it was told: an address, or a name. */
  readonly agent: string;
  /** The same of its relay, as this agent reaches it; null without one. */
  readonly relay: string | null;
  /** Where QEMUs of this host listen for a guest that comes by a `tcp:` URI. */
  readonly qemu: string;
  /** The addresses that this host has at this moment. */
  readonly addresses: () => readonly string[];
}

/** Who takes a stream: the agent of a direct one, its relay for a tunnel, QEMU itself by a `tcp:` URI. */
export type Taker = 'agent' | 'relay' | 'qemu';

/**
 * Where the streams of this host are taken. Agent and relay listen already, so a `listenAddress` opens nothing there: it is the wish that the
 * stream be taken at that address. A QEMU listens where the administrator lets it.
 */
export class Listening {
  readonly #options: ListeningOptions;

  constructor(options: ListeningOptions) {
    this.#options = options;
  }

  /** Throws `invalid-argument`. */
  refuseUnlessListening(address: string, taker: Taker): void {
    const { agent, relay, qemu, addresses } = this.#options;
    const at = { agent, relay: relay ?? agent, qemu }[taker];
    if (covers(at, address) && (at === address || addresses().some((own) => isSame(own, address)))) return;
    const who = { agent: 'the agent of this host listens', relay: 'the relay of this host listens', qemu: 'its QEMUs listen' }[
      taker
    ];
    throw new VmferryError('invalid-argument', `The stream cannot be taken at ${address}: ${who} on ${at}.`);
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
