import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DomainDefinition, parseDomain } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { DomainStatus } from '@vmferry/host-state';
import { activateDisks, type HandedFd, killProcess, logTail, waitForExit } from '@vmferry/hypervisor';
import { tcpSilentMsOf } from '@vmferry/posix';
import type { QmpClient } from '@vmferry/qmp';
import { type GuestLabel, labelledDomain, type SocketMaker } from '@vmferry/security-label';
import type { Channel } from './channel.js';
import type { GuestHost } from './guest-host.js';

/** Longer than any guest lives; the wait ends with the process. */
const foreverMs = 2_147_483_000;

/**
 * One guest that lives on this host: its QEMU, this agent's monitor on it, and its status document. What it holds besides (labels,
 * network devices, runtime folder, status document) is given back by `dispose`, once its exit is proven.
 */
export class Guest {
  readonly definition: DomainDefinition;
  readonly qmp: QmpClient;
  /** By which security drivers it is kept from the others. */
  readonly labels: readonly GuestLabel[];
  /** Resolves when QEMU's exit is proven by its process descriptor. */
  readonly exited: Promise<void>;
  readonly #host: GuestHost;
  #status: DomainStatus;
  #alive = true;
  readonly #handedOver = new AbortController();
  #writes: Promise<void> = Promise.resolve();

  constructor(
    host: GuestHost,
    definition: DomainDefinition,
    status: DomainStatus,
    qmp: QmpClient,
    labels: readonly GuestLabel[],
  ) {
    this.#host = host;
    this.definition = definition;
    this.#status = status;
    this.qmp = qmp;
    this.labels = labels;
    this.exited = exitOf(status, this.#handedOver.signal).then(() => {
      this.#alive = false;
    });
  }

  get uuid(): string {
    return this.#status.uuid;
  }

  get status(): DomainStatus {
    return this.#status;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /**
   * How long nothing has come over the TCP connections that QEMU alone has at this port of the host, in milliseconds; null when it has none.
   * Throws `system-call-failed` where this agent may not look into its QEMU.
   */
  tcpSilentMs(port: number): number | null {
    return tcpSilentMsOf(this.#status.process.pid, port);
  }

  /** Writes the changed status document; it is in force only once it is durable. One at a time, each on top of the one before. */
  update(change: Partial<DomainStatus>): Promise<void> {
    const write = this.#writes.then(async () => {
      const next = { ...this.#status, ...change };
      await this.#host.statuses.write(next);
      this.#status = next;
    });
    this.#writes = write.catch(() => undefined);
    return write;
  }

  /** The host's other agent has it now: this one's monitor is closed and its end is no longer watched, so that `exited` never resolves. */
  handOver(): void {
    this.qmp.close();
    this.#handedOver.abort();
  }

  /** Ends QEMU; resolves when its exit is proven. Ending what is gone is no error. */
  async kill(): Promise<void> {
    await killProcess(this.#status.process);
    await this.exited;
  }

  /**
   * Has the guest's interfaces announced, so that switches learn its new port. QEMU alone announces when it loads, not at `cont`
   * (qemu-behaviour, T6). The first frame has gone when this resolves; the next ones go after 50, 150, 250 and 350 ms, for a port that does not
   * forward at once. False for a guest without interfaces.
   */
  async announce(): Promise<boolean> {
    if (!this.definition.devices.some(({ t }) => t === 'interface')) return false;
    await this.qmp.execute('announce-self', { initial: 50, max: 550, rounds: 5, step: 100 });
    return true;
  }

  /** One end of a migration, as QEMU gets it: with its label (S51). `name` is QEMU's own for it. */
  handed({ fd }: Pick<Channel, 'fd'>, name: string): HandedFd {
    return { fd, name, label: (labelled) => this.#host.security.labelStreamFd(this.definition, labelled) };
  }

  /** For a socket that QEMU is to get (`guest`), or by which the agent talks to it. */
  socketMaker(whose: 'guest' | 'agent'): Promise<SocketMaker> {
    return this.#host.security.socketMaker(this.definition, whose);
  }

  /** Before a guest that stands still is sent anywhere: it may have come in paused, and QEMU does not survive that (`activateDisks`). */
  async activateDisks(): Promise<void> {
    const socketPath = join(this.#status.runtimeDir, 'act.nbd');
    await activateDisks(this.qmp, socketPath);
    await rm(socketPath, { force: true });
  }

  /** The end of QEMU's log, for the error of a QEMU that died (S27). */
  logTail(): Promise<string> {
    return logTail(this.#status.logPath);
  }

  /** Gives back what the guest held here. `migrated`: its files are in use on the other host and keep their labels (A8). */
  async dispose(o: { readonly migrated: boolean }): Promise<void> {
    if (this.#alive)
      throw new VmferryError('internal', `The guest ${this.uuid} still runs; its files and folders stay as they are.`);
    this.qmp.close();
    await disposeHoldings(this.#host, this.definition, this.#status, o);
  }
}

/** The same for a guest of which only the status document is left. */
export async function disposeHoldings(
  host: GuestHost,
  definition: DomainDefinition,
  status: DomainStatus,
  o: { readonly migrated: boolean },
): Promise<void> {
  await host.security.restoreAll(labelledDomain(definition), { migrated: o.migrated });
  await host.network.remove(parseDomain(status.domainXml));
  await rm(status.runtimeDir, { recursive: true, force: true });
  await host.statuses.remove(status.uuid);
}

async function exitOf({ process }: DomainStatus, handedOver: AbortSignal): Promise<void> {
  while (!(await waitForExit(process, foreverMs, handedOver))) {
    if (handedOver.aborted) return new Promise(() => undefined);
  }
}
