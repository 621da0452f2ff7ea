import { congestionControl, setCongestionControl, tcpRoundTripMicros } from '@vmferry/posix';

/**
 * What these bring they bring over a distance. They set a timer for each burst that they send, and on a LAN that costs a relay as much CPU as all the rest
 * of its work.
 */
const isPacing = (name: string) => name.startsWith('bbr');
const plain = 'reno';
/** Longer than a LAN takes, shorter than any way between two towns. */
const farMicros = 1_000;

/**
 * How a relay's connection to its peer sends. What the host has chosen (`net.ipv4.tcp_congestion_control`) holds, with one exception: one
 * that paces only holds where the peer is a millisecond away or more. A socket that has paced once never stops (Linux, `sk_pacing_status`), so it begins
 * without, and the host's choice is put back once the handshake has shown the distance.
 */
export class Pacing {
  #chosen: string | null = null;

  beforeConnect(fd: number): void {
    const name = congestionControl(fd);
    if (!isPacing(name)) return;
    this.#chosen = name;
    setCongestionControl(fd, plain);
  }

  connected(fd: number, roundTripMicros = tcpRoundTripMicros(fd)): void {
    if (this.#chosen !== null && roundTripMicros >= farMicros) setCongestionControl(fd, this.#chosen);
  }
}
