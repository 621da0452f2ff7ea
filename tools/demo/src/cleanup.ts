import { rm } from 'node:fs/promises';
import type { DemoHost } from './host.js';
import { takenPorts } from './ports.js';
import { processesOf } from './processes.js';
import { heading, say } from './say.js';
import { listedDomains, type Vmferry } from './vmferry.js';

const commandMsMax = 30_000;

/** Undoes what the demo has done, last first, however far it came; then looks whether anything is left. */
export class Cleanup {
  readonly #folder: string;
  readonly #steps: (() => Promise<unknown>)[] = [];
  #ports: readonly number[] = [];
  #done: Promise<boolean> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A step that returns a text or throws has gone wrong. */
  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  addPorts(bases: readonly number[]): void {
    this.#ports = bases;
  }

  /** Ends the domain wherever it runs, on an interruption too. Its definition goes away with the hosts' state folders. */
  addDomain(name: string, hosts: readonly DemoHost[], cli: Vmferry): void {
    this.add(async () => {
      for (const host of hosts) {
        const vmferry = cli.at(host.sourceUrl, new AbortController().signal);
        const at = ['-c', host.sourceUrl];
        const table = await vmferry.read(['domain', 'list', ...at], commandMsMax);
        if (listedDomains(table).some((listed) => listed.name === name))
          await vmferry.run(['domain', 'destroy', name, ...at], commandMsMax);
      }
    });
  }

  /** Returns true when nothing is left and nothing went wrong. A second call waits for the first. */
  run(): Promise<boolean> {
    this.#done ??= this.#undo();
    return this.#done;
  }

  async #undo(): Promise<boolean> {
    heading('Everything is cleaned up.');
    const faults: string[] = [];
    for (const step of this.#steps.reverse()) {
      const fault = await step().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
      if (typeof fault === 'string') faults.push(fault);
    }
    faults.push(...this.#killProcesses());
    await rm(this.#folder, { recursive: true, force: true });
    for (const port of await takenPorts(this.#ports)) faults.push(`port ${port} is still taken`);
    for (const fault of faults) say(`FAILED  ${fault}`);
    if (faults.length === 0) say('Nothing is left: no process, no socket, no file.');
    return faults.length === 0;
  }

  /** A process that outlived its host is a fault of ours, and ends all the same. */
  #killProcesses(): string[] {
    return processesOf(this.#folder).map(({ pid, commandLine }) => {
      process.kill(pid, 'SIGKILL');
      return `process ${pid} was left and has been killed: ${commandLine.slice(0, 200)}`;
    });
  }
}
