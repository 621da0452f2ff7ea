import type { ChainedRecord } from './chain.js';
import { type VerifiedFile, verifyAuditFile } from './file-sink.js';

/** A start that came to be, or a stop, of one process of a guest. */
export interface AuditedControl {
  readonly uuid: string;
  /** As the record has it: quoted, or in hex. */
  readonly name: string;
  readonly pid: number;
  readonly op: 'start' | 'stop';
  readonly reason: string;
  readonly time: string;
}

export interface AuditReport {
  readonly files: readonly (VerifiedFile & { readonly path: string })[];
  /** In the order of time. */
  readonly controls: readonly AuditedControl[];
  /** Starts that failed, by guest; they are of no process. */
  readonly failedStarts: Readonly<Record<string, number>>;
  /** Processes that were started and not stopped: they run, or nobody has come to audit their end. */
  readonly running: readonly AuditedControl[];
  /** What is missing or too much, for a person. */
  readonly faults: readonly string[];
}

const CONTROL = /^virt=\S+ op=(start|stop) reason=(\S+) vm=(\S+) uuid=(\S+)(?: vm-pid=(\d+))?$/;

/**
 * Follows the chains of the audit files of one host, and looks whether each process of each guest was started once, and stopped once or not yet (I7). A
 * guest changes its agent on a host, so the files of both belong together. Throws `state-unreadable` where a chain is broken.
 */
export async function verifyAudit(paths: readonly string[]): Promise<AuditReport> {
  const controls: AuditedControl[] = [];
  const failedStarts = new Map<string, number>();
  const faults: string[] = [];
  const hear = ({ link, time, type, success, fields }: ChainedRecord, path: string) => {
    if (type !== 'VIRT_CONTROL') return;
    const [, op, reason = '', name = '', uuid = '', pid] = CONTROL.exec(fields) ?? [];
    if (op === 'start' && !success) failedStarts.set(uuid, (failedStarts.get(uuid) ?? 0) + 1);
    else if ((op === 'start' || op === 'stop') && pid !== undefined)
      controls.push({ uuid, name, pid: Number(pid), op, reason, time });
    else faults.push(`record ${link.seq} of ${path} tells of no process: ${fields}`);
  };
  const files = [];
  for (const path of paths) files.push({ path, ...(await verifyAuditFile(path, (record) => hear(record, path))) });
  // Stable, so that the records of one file and one millisecond stay in their order.
  controls.sort((x, y) => x.time.localeCompare(y.time));
  const running = new Map<string, AuditedControl>();
  for (const control of controls) {
    const { uuid, name, pid, op, reason, time } = control;
    const process = `${uuid} ${pid}`;
    const where = `${name} (${uuid}), process ${pid}, at ${time}`;
    if (op === 'start') {
      if (running.has(process)) faults.push(`${where}: started (${reason}) though it was started already`);
      running.set(process, control);
    } else if (!running.delete(process)) faults.push(`${where}: stopped (${reason}) though it was not running`);
  }
  return { files, controls, failedStarts: Object.fromEntries(failedStarts), running: [...running.values()], faults };
}
