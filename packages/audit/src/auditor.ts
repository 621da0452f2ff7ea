import type { Clock } from '@vmferry/seams';
import { encodeField } from './encoding.js';
import {
  type AuditedGuest,
  type AuditReason,
  type AuditRecord,
  formatControl,
  formatResource,
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
  readonly memoryKib: number;
  readonly vcpus: number;
  /** Paths of the disks that have a source. */
  readonly disks: readonly string[];
  readonly macs: readonly string[];
}

export interface AuditedRequest {
  readonly principal: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  /** The HTTP status, or the code of the error. */
  readonly outcome: string;
  readonly success: boolean;
}

/** Writes each start and stop once, with its reason and result (I7). */
export class Auditor {
  readonly #sink: AuditSink;
  readonly #clock: Clock;

  constructor(sink: AuditSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** What the guest was given, then the start itself; the resources are audited as given also when the start fails (A7). */
  domainStart(domain: AuditedDomain, reason: AuditReason, success: boolean): Promise<void> {
    const resources = resourcesOf(domain).map((facts) => formatResource(domain, facts));
    return this.#append([...resources, this.#control(domain, 'start', reason, success)]);
  }

  domainStop(domain: AuditedDomain, reason: AuditReason, success = true): Promise<void> {
    return this.#append([this.#control(domain, 'stop', reason, success)]);
  }

  /** What is audited last of one process of a guest: after a restart of the agent it tells what is still to be audited (I7). Reads all records. */
  async lastControl(uuid: string, pid: number): Promise<'start' | 'stop' | null> {
    const of = ` uuid=${uuid} vm-pid=${pid} hash=`;
    const line = await this.#sink.last((text) => text.includes(' type=VIRT_CONTROL ') && text.includes(of));
    if (line === null) return null;
    return line.includes(' op=start ') ? 'start' : 'stop';
  }

  api({ principal, requestId, method, path, outcome, success }: AuditedRequest): Promise<void> {
    const fields = { principal, 'request-id': requestId, method, path, outcome };
    const text = Object.entries(fields).map(([key, value]) => encodeField(key, value));
    return this.#append([{ type: 'VMFERRY_API', success, text: text.join(' ') }]);
  }

  close(): Promise<void> {
    return this.#sink.close();
  }

  #control(domain: AuditedDomain, op: 'start' | 'stop', reason: AuditReason, success: boolean): AuditRecord {
    return formatControl(domain, { op, reason, success, ...(domain.pid === undefined ? {} : { pid: domain.pid }) });
  }

  #append(records: readonly AuditRecord[]): Promise<void> {
    return this.#sink.append(this.#clock.wall(), records);
  }
}

function resourcesOf({ disks, macs, memoryKib, vcpus }: AuditedDomain): ResourceFacts[] {
  return [
    ...disks.map((path) => ({ t: 'disk', reason: 'start', old: null, new: path }) as const),
    ...macs.map((mac) => ({ t: 'net', reason: 'start', old: null, new: mac }) as const),
    { t: 'mem', reason: 'start', old: 0, new: memoryKib },
    { t: 'vcpu', reason: 'start', old: 0, new: vcpus },
  ];
}
