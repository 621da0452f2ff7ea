import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DomainDefinition } from '@vmferry/domain';
import { type Capabilities, commandLine } from '@vmferry/hypervisor';
import { QmpClient } from '@vmferry/qmp';
import { systemClock } from '@vmferry/seams';

const greetingDeadlineMs = 20_000;

/** A QEMU with no agent: the same command line as vmferry's, spawned by this script, with this script at its first monitor. */
export class LoneQemu {
  readonly qmp: QmpClient;
  readonly pid: number;
  readonly spareMonitor: string;
  readonly folder: string;
  readonly #child: ChildProcess;

  private constructor(qmp: QmpClient, child: ChildProcess, pid: number, folder: string, spareMonitor: string) {
    this.qmp = qmp;
    this.#child = child;
    this.pid = pid;
    this.folder = folder;
    this.spareMonitor = spareMonitor;
  }

  /** Starts it in a folder of its own, paused; `incoming` waits for a guest. */
  static async start(
    definition: DomainDefinition,
    capabilities: Capabilities,
    folder: string,
    incoming: boolean,
  ): Promise<LoneQemu> {
    await mkdir(folder, { recursive: true });
    const monitors = { source: join(folder, 'source.qmp'), destination: join(folder, 'destination.qmp') };
    const { argv } = commandLine(definition, { incoming, monitors, capabilities, spiceTlsDir: null, runtimeDir: folder });
    const [emulator = '', ...words] = argv;
    const log = await open(join(folder, 'qemu.log'), 'a');
    const child = spawn(emulator, words, { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    if (child.pid === undefined) throw new Error(`${emulator} could not be started.`);
    try {
      const qmp = await QmpClient.connect({ path: monitors.source, clock: systemClock, deadlineMs: greetingDeadlineMs });
      return new LoneQemu(qmp, child, child.pid, folder, monitors.destination);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  async end(): Promise<void> {
    this.qmp.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
