import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { encodeField } from './encoding.js';
import {
  type AuditedGuest,
  type AuditReason,
  type AuditRecord,
  formatControl,
  formatLabel,
  formatResource,
  type LabelFacts,
  type ResourceFacts,
} from './records.js';

/** Where records go. `append` resolves when they are durable, in the order of the calls. */
export interface AuditSink {
  append(at: Date, records: readonly AuditRecord[]): Promise<void>;
  /** The last record whose line `match` accepts; null when there is none. */
  last(match: (line: string) => boolean): Promise<string | null>;
  close(): Promise<void>;
}

/** A guest with what it is made of; nothing here is of one hypervisor (S11). */
export interface AuditedDomain extends AuditedGuest {
  readonly pid?: number;
  /** Null where nothing is labelled. */
  readonly label: LabelFacts | null;
  /** What it is given at its start, in any order. */
  readonly resources: readonly ResourceFacts[];
}

/** The order in which a start tells of what the guest was given (A7), after its label. */
const order: readonly ResourceFacts['t'][] = ['disk', 'fs', 'net', 'net-open', 'dev', 'mem', 'vcpu', 'cgroup'];

export interface AuditedRequest {
  readonly principal: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  /** `ok`, `accepted` or the code of the error; then, behind a colon, what the path does not say. */
  readonly outcome: string;
  readonly success: boolean;
}

/** A record that could not be written waits in memory, with its time; more than these are not kept. */
const owedMax = 1_000;

/** Writes each start and stop once, with its reason and result (I7). */
export class Auditor {
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #owed: { readonly at: Date; readonly records: readonly AuditRecord[] }[] = [];
  #paying: Promise<void> | null = null;

  constructor(sink: AuditSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** Label and resources of the guest, then the start itself; they are audited as given also when the start fails (A7). */
  domainStart(domain: AuditedDomain, reason: AuditReason, success: boolean): Promise<void> {
    return this.#append(this.#startOf(domain, reason, success));
  }

  /**
   * A start that failed. Throws when it cannot be written, and then it is owed: what has failed is not tried again only to be audited, so it is
   * written before the next record that can be, or when the agent ends.
   */
  startFailed(domain: AuditedDomain, reason: AuditReason): Promise<void> {
    return this.#appendOrOwe(this.#startOf(domain, reason, false));
  }

  /** What has ended has ended, so a stop succeeds, whatever its reason. */
  domainStop(domain: AuditedDomain, reason: AuditReason): Promise<void> {
    return this.#append([this.#control(domain, 'stop', reason, true)]);
  }

  /** What is audited last of one process of a guest: after a restart of the agent it tells what is still to be audited (I7). Reads all records. */
  async lastControl(uuid: string, pid: number): Promise<'start' | 'stop' | null> {
    const of = ` uuid=${uuid} vm-pid=${pid} hash=`;
    const line = await this.#sink.last((text) => text.includes(' type=VIRT_CONTROL ') && text.includes(of));
    if (line === null) return null;
    return line.includes(' op=start ') ? 'start' : 'stop';
  }

  /** A call that has been answered, or is going to be. Throws when it cannot be written, and then it is owed as a failed start is. */
  api({ principal, requestId, method, path, outcome, success }: AuditedRequest): Promise<void> {
    const fields = { principal, 'request-id': requestId, method, path, outcome };
    const text = Object.entries(fields).map(([key, value]) => encodeField(key, value));
    return this.#appendOrOwe([{ type: 'VMFERRY_API', success, text: text.join(' ') }]);
  }

  async close(): Promise<void> {
    // What still cannot be written is lost with this process; there is nobody left to tell.
    await this.#payOwed().catch(() => undefined);
    await this.#sink.close();
  }

  #startOf(domain: AuditedDomain, reason: AuditReason, success: boolean): AuditRecord[] {
    const label = domain.label === null ? [] : [formatLabel(domain, domain.label)];
    const inOrder = [...domain.resources].sort((x, y) => order.indexOf(x.t) - order.indexOf(y.t));
    const resources = inOrder.map((facts) => formatResource(domain, facts));
    return [...label, ...resources, this.#control(domain, 'start', reason, success)];
  }

  #control(domain: AuditedDomain, op: 'start' | 'stop', reason: AuditReason, success: boolean): AuditRecord {
    return formatControl(domain, { op, reason, success, ...(domain.pid === undefined ? {} : { pid: domain.pid }) });
  }

  /** What the file refuses as it is would be refused again, and is not owed. */
  async #appendOrOwe(records: readonly AuditRecord[]): Promise<void> {
    const at = this.#clock.wall();
    try {
      await this.#append(records, at);
    } catch (thrown) {
      if (this.#owed.length < owedMax && !VmferryError.is(thrown, 'invalid-argument')) this.#owed.push({ at, records });
      throw thrown;
    }
  }

  async #append(records: readonly AuditRecord[], at = this.#clock.wall()): Promise<void> {
    if (this.#owed.length > 0) await this.#payOwed();
    await this.#sink.append(at, records);
  }

  /** In their order, each once, however many ask for it at a time. */
  #payOwed(): Promise<void> {
    this.#paying ??= this.#pay().finally(() => {
      this.#paying = null;
    });
    return this.#paying;
  }

  async #pay(): Promise<void> {
    for (let [first] = this.#owed; first !== undefined; [first] = this.#owed) {
      await this.#sink.append(first.at, first.records);
      this.#owed.shift();
    }
  }
}
