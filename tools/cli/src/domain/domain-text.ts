import type { DomainJob, DomainResource, MemoryStats } from '@vmferry/api';
import { displayText } from '../output/display.js';
import { factsText, tableText } from '../output/table.js';
import { bytesText, durationText } from '../output/units.js';

/** The states in virsh's words. */
const stateWords: Record<DomainResource['state'], string> = {
  nostate: 'no state',
  running: 'running',
  blocked: 'idle',
  paused: 'paused',
  shutdown: 'in shutdown',
  shutoff: 'shut off',
  crashed: 'crashed',
};

/** A domain is active while it has a QEMU. */
export const isActive = ({ pid }: DomainResource): boolean => pid !== null;

/** `virsh list`, with the process in place of libvirt's running number. */
export function domainTable(domains: readonly DomainResource[]): string {
  const rows = domains.map((domain) => [pidText(domain), domain.name, stateWords[domain.state], noteOf(domain)]);
  return tableText(['Pid', 'Name', 'State', ''], rows);
}

/** `virsh dominfo`. */
export function domainFacts(domain: DomainResource): string {
  return factsText([
    ['Name', domain.name],
    ['UUID', domain.uuid],
    ['Type', domain.type],
    ['State', `${stateWords[domain.state]} (${domain.reason})`],
    ['Pid', pidText(domain)],
    ['Memory', bytesText(domain.memoryKib * 1_024)],
    ['CPUs', String(domain.vcpus)],
    ['Persistent', domain.persistent ? 'yes' : 'no'],
    ['Job', domain.job === null ? 'none' : `${domain.job.kind}, ${domain.job.phase}, for ${durationText(domain.job.elapsedMs)}`],
    ['Migration', domain.migrationId ?? 'none'],
    ...(domain.display === null ? [] : [['Display', displayText(domain.display)] as const]),
    ...(domain.managedSave ? [['Managed save', 'yes'] as const] : []),
    ...(domain.autodestroy ? [['Autodestroy', 'yes'] as const] : []),
    ...(domain.tainted.length === 0 ? [] : [['Tainted', domain.tainted.join(', ')] as const]),
    ...domain.labels.map(({ model, label, imageLabel }) => {
      const ofFiles = imageLabel === undefined || imageLabel === label ? '' : `, files ${imageLabel}`;
      return ['Label', `${label} (${model}${ofFiles})`] as const;
    }),
    ...(domain.warning === null ? [] : [['Warning', domain.warning] as const]),
  ]);
}

/** `virsh domblkinfo` prints bytes; what is not known is a dash. */
export const sizeText = (bytes: number | null): string => (bytes === null ? '-' : String(bytes));

/** `virsh dommemstat`. */
export function memoryFacts({ actualKib, maximumKib, balloon, rssKib, unknown }: MemoryStats): string {
  return factsText([
    ['Actual', `${bytesText(actualKib * 1_024)}${balloon ? ' (balloon)' : ''}`],
    ['Maximum', bytesText(maximumKib * 1_024)],
    ['Resident', bytesText(rssKib * 1_024)],
    ['Unknown', unknown],
  ]);
}

/** `virsh domjobinfo`. */
export function jobFacts({ current, last }: DomainJob): string {
  const told = [['Job', current] as const, ...(last === null ? [] : [['Last job', last] as const])];
  return factsText(told.flatMap(([title, report]) => reportFacts(title, report)));
}

function reportFacts(title: string, { type, kind, phase, memory, ...times }: DomainJob['current']): [string, string][] {
  if (kind === null) return [[title, type]];
  const { totalBytes, processedBytes, remainingBytes } = memory;
  return [
    [title, `${kind}, ${type}, in phase ${phase}`],
    ['  Time elapsed', durationText(times.timeElapsedMs)],
    ...(times.timeRemainingMs === null ? [] : [['  Time remaining', durationText(times.timeRemainingMs)] as [string, string]]),
    ['  Memory', `${bytesText(processedBytes)} of ${bytesText(totalBytes)}, ${bytesText(remainingBytes)} left`],
  ];
}

const pidText = ({ pid }: DomainResource): string => (pid === null ? '-' : String(pid));

function noteOf({ warning, job, persistent }: DomainResource): string {
  return [
    ...(persistent ? [] : ['transient']),
    ...(job === null ? [] : [`${job.kind}: ${job.phase}`]),
    ...(warning === null ? [] : [warning]),
  ].join('; ');
}
