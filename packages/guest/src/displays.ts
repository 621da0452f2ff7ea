import { constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DomainDefinition, displayListenOf, type GraphicsDevice, graphicsOf, placeDisplay } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { closeFd, flockExclusive, openFile } from '@vmferry/posix';
import { canBind, type PortRange } from './ports.js';

/** The certificates of this host's SPICE displays. */
export interface DisplayTls {
  /** What QEMU is given (libvirt's spice_tls_x509_cert_dir). */
  readonly dir: string;
  /** The subject of the server's certificate, read from its file (S45), once the files are found good. Throws `tls-unavailable`. */
  subject(): Promise<string>;
}

export interface DisplaysOptions {
  /** Of the ports that this host chooses (libvirt's remote_display_port_min and _max). */
  readonly range: PortRange;
  /** Where the lock files of the ports are, for both agents of the host. */
  readonly folder: string;
  /** Null: no display has TLS. */
  readonly tls: DisplayTls | null;
  readonly hostName: string;
}

/** Where the clients of a display find it; -1 is a port that it does not have. */
export interface DisplayPlace {
  readonly type: 'vnc' | 'spice';
  readonly listen: string;
  readonly port: number;
  /** Of spice. */
  readonly tlsPort: number;
  /** With TLS: the subject of the certificate that is shown there. */
  readonly certSubject?: string;
}

/** A definition whose display has its ports, held for it until `close`, and by a QEMU that has inherited `locks` for all its life. */
export interface PlacedDisplay {
  readonly definition: DomainDefinition;
  /** Null for a guest without a display, or with several (S36). */
  readonly place: DisplayPlace | null;
  readonly locks: readonly number[];
  close(): void;
}

/**
 * Who of this host's guests has which port for its display. A port is held by the flock of its file, on a descriptor that QEMU inherits, as the live
 * lock is: so it is one guest's for both agents, outlives them, and is given back by the end of QEMU alone.
 */
export class Displays {
  readonly #o: DisplaysOptions;

  constructor(options: DisplaysOptions) {
    this.#o = options;
  }

  get tlsDir(): string | null {
    return this.#o.tls?.dir ?? null;
  }

  /** Throws `port-busy`, `tls-unavailable`, and `invalid-argument` for an address that is not this host's. */
  async place(definition: DomainDefinition): Promise<PlacedDisplay> {
    const graphics = graphicsOf(definition);
    const locks: number[] = [];
    const close = () => {
      for (const fd of locks.splice(0)) closeFd(fd);
    };
    if (graphics === undefined) return { definition, place: null, locks, close };
    try {
      const place = await this.#placeOf(graphics, locks);
      return { definition: placeDisplay(definition, place), place, locks, close };
    } catch (thrown) {
      close();
      throw thrown;
    }
  }

  async #placeOf({ type, autoport, ...graphics }: GraphicsDevice, locks: number[]): Promise<DisplayPlace> {
    const listen = displayListenOf({ type, autoport, ...graphics });
    const withTls = type === 'spice' && (autoport ? this.#o.tls !== null : graphics.tlsPort !== -1);
    const certSubject = withTls ? await this.#subject() : undefined;
    const take = async (named: number) => {
      if (!autoport && named === -1) return -1;
      const { port, fd } = await this.#take(autoport ? null : named, listen);
      locks.push(fd);
      return port;
    };
    const port = await take(graphics.port);
    const tlsPort = withTls ? await take(graphics.tlsPort) : -1;
    return { type, listen, port, tlsPort, ...(certSubject === undefined ? {} : { certSubject }) };
  }

  #subject(): Promise<string> {
    const { tls, hostName } = this.#o;
    if (tls !== null) return tls.subject();
    const detail = `The SPICE displays of ${hostName} have no TLS: it was given no folder with their certificates; see --spice-tls-dir.`;
    throw new VmferryError('tls-unavailable', detail);
  }

  /** The named port, or the lowest that is free. */
  async #take(named: number | null, listen: string): Promise<{ readonly port: number; readonly fd: number }> {
    const { first, last } = named === null ? this.#o.range : { first: named, last: named };
    await mkdir(this.#o.folder, { recursive: true, mode: 0o700 });
    for (let port = first; port <= last; port += 1) {
      const fd = await this.#lock(port, listen);
      if (fd !== null) return { port, fd };
    }
    throw this.#busy(named);
  }

  /** Null for a port that another guest of this host has, or anything else. */
  async #lock(port: number, listen: string): Promise<number | null> {
    const fd = openFile(join(this.#o.folder, `display-port-${port}.lk`), constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (flockExclusive(fd) && (await canBind(port, listen))) return fd;
    } catch (thrown) {
      closeFd(fd);
      throw thrown;
    }
    closeFd(fd);
    return null;
  }

  #busy(named: number | null): VmferryError {
    const { range, hostName } = this.#o;
    const detail =
      named === null
        ? `Each display port of ${hostName}, ${range.first} to ${range.last}, is in use; give its agents more with --display-ports.`
        : `The port ${named} of the display is in use on ${hostName}; name another one, or have one chosen with autoport='yes'.`;
    return new VmferryError('port-busy', detail);
  }
}
