import { VmferryError } from '@vmferry/errors';
import { canBind, type PortRange } from '@vmferry/guest';

export interface MigrationPortsOptions {
  /** Where QEMUs may listen for a guest (libvirt's migration_port_min and _max). Null: no QEMU of this host does. */
  readonly range: PortRange | null;
  /** The address to listen on when a caller names none. */
  readonly address: string;
  /** Whether a QEMU may listen without TLS, where whoever connects first is taken for the source. */
  readonly insecure: boolean;
  readonly hostName: string;
}

/**
 * Who of this host's incoming migrations has which port. A port is given once until it is given back, and only when nothing else on the host
 * has it at that moment; one that is taken in between is QEMU's to find.
 */
export class MigrationPorts {
  readonly #o: MigrationPortsOptions;
  readonly #given = new Set<number>();
  /** Round-robin, as libvirt: a port that was just given back may have late packets of its last stream. */
  #next: number;

  constructor(options: MigrationPortsOptions) {
    this.#o = options;
    this.#next = options.range?.first ?? 0;
  }

  get offered(): boolean {
    return this.#o.range !== null;
  }

  get insecure(): boolean {
    return this.#o.insecure;
  }

  get address(): string {
    return this.#o.address;
  }

  /** Throws `invalid-argument` when no such port is to be had here at all, `insecure-refused` without TLS that is not permitted. */
  refuseUnlessOffered(port: number | null, tls: boolean): void {
    const { range, insecure, hostName } = this.#o;
    if (range === null)
      throw wrongUri(`No QEMU of ${hostName} listens: its destination-agent has no --migration-ports. Leave the tcp: URI out`);
    const { first, last } = range;
    if (port !== null && (port < first || port > last))
      throw wrongUri(`The migration ports of ${hostName} are ${first} to ${last}, and ${port} is none of them`);
    if (tls || insecure) return;
    throw new VmferryError(
      'insecure-refused',
      `QEMU would take the first who connects to its port for the source. Give the flag TLS; or, where nobody else reaches the ports of ${hostName}, permit it there with --insecure-migration-ports.`,
    );
  }

  /** The given port, or the next that is free; it is the caller's until `giveBack`. Throws `port-busy`. */
  async take(port: number | null, address = this.#o.address): Promise<number> {
    for (const candidate of port === null ? this.#fromNext() : [port]) {
      if (this.#given.has(candidate)) continue;
      this.#given.add(candidate);
      if (await canBind(candidate, address)) {
        this.#next = candidate + 1;
        return candidate;
      }
      this.#given.delete(candidate);
    }
    throw this.#busy(port);
  }

  giveBack(port: number): void {
    this.#given.delete(port);
  }

  /** Whether `take` would find one at this moment. Throws `port-busy`. */
  async probe(port: number | null, address = this.#o.address): Promise<void> {
    this.giveBack(await this.take(port, address));
  }

  #fromNext(): number[] {
    const { first = 1, last = 0 } = this.#o.range ?? {};
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    const at = all.indexOf(this.#next);
    return at === -1 ? all : [...all.slice(at), ...all.slice(0, at)];
  }

  #busy(port: number | null): VmferryError {
    const { range, hostName } = this.#o;
    const detail =
      port === null
        ? `Each of the ${this.#fromNext().length} migration ports of ${hostName} (${range?.first} to ${range?.last}) is in use; try again when a migration is over, or give its agent more.`
        : `The migration port ${port} of ${hostName} is in use; name another one, or none to have one picked.`;
    return new VmferryError('port-busy', detail);
  }
}

function wrongUri(what: string): VmferryError {
  const detail = `${what}.`;
  return new VmferryError('invalid-argument', detail, { errors: [{ path: '/uri', code: 'invalid-argument', detail }] });
}
