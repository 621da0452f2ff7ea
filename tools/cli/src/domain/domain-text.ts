import type { DomainResource } from '@vmferry/api';
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
    ...(domain.warning === null ? [] : [['Warning', domain.warning] as const]),
  ]);
}

const pidText = ({ pid }: DomainResource): string => (pid === null ? '-' : String(pid));

function noteOf({ warning, job, persistent }: DomainResource): string {
  return [
    ...(persistent ? [] : ['transient']),
    ...(job === null ? [] : [`${job.kind}: ${job.phase}`]),
    ...(warning === null ? [] : [warning]),
  ].join('; ');
}
