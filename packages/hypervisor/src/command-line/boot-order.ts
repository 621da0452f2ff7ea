import type { Device, DomainDefinition } from '@vmferry/domain';

/**
 * The boot index of each device, from 1. What the devices say themselves goes first; otherwise `<boot dev>` names kinds, and each
 * stands for the first device of its kind, as in libvirt.
 */
export function bootOrder({ devices, os }: DomainDefinition): ReadonlyMap<Device, number> {
  const own = devices.flatMap((device) => {
    return 'bootOrder' in device && device.bootOrder !== undefined ? [[device, device.bootOrder] as const] : [];
  });
  if (own.length > 0) return new Map(own);
  const kinds = os.boot.length > 0 ? os.boot : (['hd'] as const);
  const first = kinds.flatMap((kind) => devices.find((device) => isOfKind(device, kind)) ?? []);
  return new Map([...new Set(first)].map((device, index) => [device, index + 1]));
}

function isOfKind(device: Device, kind: DomainDefinition['os']['boot'][number]): boolean {
  switch (kind) {
    case 'hd':
      return device.t === 'disk' && device.device === 'disk';
    case 'cdrom':
      return device.t === 'disk' && device.device === 'cdrom';
    case 'network':
      return device.t === 'interface';
    case 'fd':
      return false;
  }
}
