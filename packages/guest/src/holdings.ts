import type { AuditedDomain } from '@vmferry/audit';
import type { DomainDefinition } from '@vmferry/domain';
import { type ResourceId, vmResource } from '@vmferry/locking';

/** What the leases of a guest are taken for: the guest itself. Its writable disks are locked by QEMU (`"locking":"on"`). */
export function resourcesOf(uuid: string): readonly ResourceId[] {
  return [vmResource(uuid)];
}

export function auditedOf(definition: DomainDefinition, pid: number | undefined): AuditedDomain {
  const { type, name, uuid, memoryKib, vcpus, devices } = definition;
  return {
    virt: type,
    name,
    uuid,
    ...(pid === undefined ? {} : { pid }),
    memoryKib,
    vcpus,
    disks: devices.flatMap((device) => (device.t === 'disk' && device.source !== undefined ? [device.source] : [])),
    macs: devices.flatMap((device) => (device.t === 'interface' ? [device.mac] : [])),
  };
}
