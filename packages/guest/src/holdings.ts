import type { AuditedDomain, LabelFacts, ResourceFacts } from '@vmferry/audit';
import { actualType, type Device, type DomainDefinition } from '@vmferry/domain';
import { type ResourceId, vmResource } from '@vmferry/locking';
import { tunDevice } from '@vmferry/posix';
import type { SecurityDriver } from '@vmferry/security-label';

/** What the leases of a guest are taken for: the guest itself. Its writable disks are locked by QEMU (`"locking":"on"`). */
export function resourcesOf(uuid: string): readonly ResourceId[] {
  return [vmResource(uuid)];
}

/** What an audit tells of a guest; `security` is given where it was labelled, at a start of its own. */
export function auditedOf(
  definition: DomainDefinition,
  pid: number | undefined,
  security?: Pick<SecurityDriver, 'user'>,
): AuditedDomain {
  const { type, name, uuid, memoryKib, vcpus, devices } = definition;
  return {
    virt: type,
    name,
    uuid,
    ...(pid === undefined ? {} : { pid }),
    label: labelOf(security?.user ?? null),
    resources: [
      ...devices.flatMap(resourcesOfDevice),
      { t: 'mem', reason: 'start', old: 0, new: memoryKib },
      { t: 'vcpu', reason: 'start', old: 0, new: vcpus },
    ],
  };
}

/** Owner and group of process and images, as libvirt's driver dac writes them. */
function labelOf(user: SecurityDriver['user']): LabelFacts | null {
  if (user === null) return null;
  const label = `+${user.uid}:+${user.gid}`;
  return { process: label, image: label };
}

function resourcesOfDevice(device: Device): ResourceFacts[] {
  if (device.t === 'disk' && device.source !== undefined) return [{ t: 'disk', reason: 'start', old: null, new: device.source }];
  if (device.t === 'interface') return [{ t: 'net', reason: 'start', old: null, new: device.mac }, ...tapOf(device)];
  return [];
}

/** The kernel's number of the device that makes taps. */
const tunNumber = { major: 10, minor: 200 };

/** An interface with a tap, of which QEMU got a descriptor of the agent's. */
function tapOf(device: Extract<Device, { t: 'interface' }>): ResourceFacts[] {
  const hasTap = ['bridge', 'ethernet'].includes(actualType(device));
  return hasTap ? [{ t: 'net-open', mac: device.mac, path: tunDevice, rdev: tunNumber }] : [];
}
