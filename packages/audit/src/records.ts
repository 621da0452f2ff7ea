import { VmferryError } from '@vmferry/errors';
import { encodeDevice, encodeField } from './encoding.js';

/** Names and numbers of the Linux audit system; `VMFERRY_*` are ours and have none. */
export const auditTypes = {
  VIRT_CONTROL: 2500,
  VIRT_RESOURCE: 2501,
  VIRT_MACHINE_ID: 2502,
  VMFERRY_API: null,
  VMFERRY_TORN: null,
} as const;
export type AuditType = keyof typeof auditTypes;

export interface AuditRecord {
  readonly type: AuditType;
  readonly success: boolean;
  /** One line of fields; every value from outside is encoded. */
  readonly text: string;
}

/** Whom a record is about. `virt` is the type of the virtualization, as the domain's own type says (S11). */
export interface AuditedGuest {
  readonly virt: string;
  readonly name: string;
  readonly uuid: string;
}

/** A7, and `recovered` for what happened while no agent was there to see it (I7). */
export type AuditReason =
  | 'booted'
  | 'migrated'
  | 'restored'
  | 'from-snapshot'
  | 'saved'
  | 'destroyed'
  | 'shutdown'
  | 'failed'
  | 'crashed'
  | 'daemon'
  | 'recovered';

export interface ControlFacts {
  readonly op: 'start' | 'stop';
  readonly reason: AuditReason;
  readonly pid?: number;
  readonly success: boolean;
}

/** `old` is null at a start: there was nothing before. */
export type ResourceFacts =
  | { readonly t: 'disk' | 'fs' | 'net'; readonly reason: string; readonly old: string | null; readonly new: string | null }
  | { readonly t: 'mem' | 'vcpu'; readonly reason: string; readonly old: number; readonly new: number }
  | { readonly t: 'dev'; readonly reason: string; readonly bus: 'pci' | 'usb'; readonly device: string }
  | { readonly t: 'net-open'; readonly mac: string; readonly path: string; readonly rdev: DeviceNumber }
  | { readonly t: 'cgroup'; readonly reason: 'allow' | 'deny'; readonly cgroup: string; readonly of: CgroupDevices };

/** In the words of whoever labels: a SELinux context, `+UID:+GID`. */
export interface LabelFacts {
  /** Of the process. */
  readonly process: string;
  /** Of its images. */
  readonly image: string;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export type CgroupDevices =
  | { readonly class: 'all' }
  | { readonly class: 'major'; readonly category: 'C' | 'B'; readonly major: number; readonly acl: string }
  | { readonly class: 'path'; readonly path: string; readonly rdev: DeviceNumber; readonly acl: string };

export function formatControl(guest: AuditedGuest, { op, reason, pid, success }: ControlFacts): AuditRecord {
  const process = pid === undefined ? '' : ` vm-pid=${pid}`;
  return { type: 'VIRT_CONTROL', success, text: `virt=${word(guest.virt)} op=${op} reason=${reason} ${whom(guest)}${process}` };
}

/** As given, whatever came of the start (A7). */
export function formatResource(guest: AuditedGuest, facts: ResourceFacts): AuditRecord {
  const [name, reason] = facts.t === 'net-open' ? ['net', 'open'] : [facts.t, word(facts.reason)];
  const text = `virt=${word(guest.virt)} resrc=${name} reason=${reason} ${whom(guest)} ${resourceFields(facts)}`;
  return { type: 'VIRT_RESOURCE', success: true, text };
}

export function formatLabel(guest: AuditedGuest, label: LabelFacts): AuditRecord {
  const labels = `${encodeField('vm-ctx', label.process)} ${encodeField('img-ctx', label.image)}`;
  return { type: 'VIRT_MACHINE_ID', success: true, text: `virt=${word(guest.virt)} ${whom(guest)} ${labels}` };
}

/** The form of a record in a log, and its level there. */
export function logLine({ success, text }: AuditRecord): { readonly level: 'info' | 'warn'; readonly text: string } {
  return { level: success ? 'info' : 'warn', text: `success=${success ? 'yes' : 'no'} ${text}` };
}

function resourceFields(facts: ResourceFacts): string {
  switch (facts.t) {
    case 'disk':
    case 'fs':
      return `${encodeField(`old-${facts.t}`, facts.old ?? '?')} ${encodeField(`new-${facts.t}`, facts.new ?? '?')}`;
    case 'net':
      return `old-net=${mac(facts.old)} new-net=${mac(facts.new)}`;
    case 'mem':
    case 'vcpu':
      return `old-${facts.t}=${facts.old} new-${facts.t}=${facts.new}`;
    case 'dev':
      return `bus=${facts.bus} ${encodeField('device', facts.device)}`;
    case 'net-open':
      return `net=${mac(facts.mac)} ${encodeField('path', facts.path)} rdev=${encodeDevice(facts.rdev)}`;
    case 'cgroup':
      return `${encodeField('cgroup', facts.cgroup)} ${cgroupFields(facts.of)}`;
    default:
      return facts satisfies never;
  }
}

function cgroupFields(of: CgroupDevices): string {
  switch (of.class) {
    case 'all':
      return 'class=all';
    case 'major':
      return `class=major category=${of.category} maj=${of.major} acl=${word(of.acl)}`;
    case 'path':
      return `class=path ${encodeField('path', of.path)} rdev=${encodeDevice(of.rdev)} acl=${word(of.acl)}`;
    default:
      return of satisfies never;
  }
}

function whom({ name, uuid }: AuditedGuest): string {
  return `${encodeField('vm', name)} uuid=${word(uuid)}`;
}

function mac(address: string | null): string {
  if (address === null) return '?';
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(address)) return address;
  throw new VmferryError('internal', `${JSON.stringify(address)} was to be audited as a MAC address.`);
}

/** A field that is written as it is. What comes from outside is checked long before; a defect there must not forge a record. */
function word(value: string): string {
  if (/^[A-Za-z0-9.-]{1,64}$/.test(value)) return value;
  throw new VmferryError('internal', `${JSON.stringify(value)} was to be audited as a plain word.`);
}
