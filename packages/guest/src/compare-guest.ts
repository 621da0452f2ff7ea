import { chipsetSlots, type DomainDefinition, isPciFunction, machineFamily } from '@vmferry/domain';
import type { QmpClient } from '@vmferry/qmp';

/**
 * How a QEMU that somebody else has started differs from a definition, by what its monitor tells: each difference in words, none when
 * the two are plausibly one guest. What the monitor does not tell (the model of a processor, say) a migration would find, and fail on.
 */
export async function differencesOf(definition: DomainDefinition, qmp: QmpClient): Promise<string[]> {
  const found = await Promise.all([
    ofIdentity(definition, qmp),
    ofMachine(definition, qmp),
    ofSize(definition, qmp),
    ofDisks(definition, qmp),
    ofPlaces(definition, qmp),
  ]);
  return found.flat().flatMap(({ what, defined, qemu }) => {
    return defined === qemu ? [] : [`${what} is ${defined} in the definition and ${qemu} in QEMU`];
  });
}

interface Compared {
  readonly what: string;
  readonly defined: string;
  readonly qemu: string;
}

async function ofIdentity({ uuid, name }: DomainDefinition, qmp: QmpClient): Promise<Compared[]> {
  const [{ UUID }, named] = await Promise.all([qmp.execute('query-uuid', {}), qmp.execute('query-name', {})]);
  return [
    { what: 'the uuid', defined: uuid, qemu: UUID.toLowerCase() },
    { what: 'the name', defined: JSON.stringify(name), qemu: JSON.stringify(named.name ?? '') },
  ];
}

async function ofMachine({ os, type }: DomainDefinition, qmp: QmpClient): Promise<Compared[]> {
  const [machine, kvm] = await Promise.all([
    qmp.executeUntyped('qom-get', { path: '/machine', property: 'type' }),
    qmp.execute('query-kvm', {}),
  ]);
  return [
    { what: 'the machine', defined: os.machine, qemu: String(machine).replace(/-machine$/, '') },
    { what: 'the type', defined: type, qemu: kvm.enabled ? 'kvm' : 'qemu' },
  ];
}

async function ofSize({ memoryKib, vcpus }: DomainDefinition, qmp: QmpClient): Promise<Compared[]> {
  const [memory, cpus] = await Promise.all([qmp.execute('query-memory-size-summary', {}), qmp.execute('query-cpus-fast', {})]);
  const bytes = memory['base-memory'] + (memory['plugged-memory'] ?? 0);
  return [
    { what: 'the memory in KiB', defined: String(memoryKib), qemu: String(bytes / 1_024) },
    { what: 'the number of processors', defined: String(vcpus), qemu: String(cpus.length) },
  ];
}

async function ofDisks({ devices }: DomainDefinition, qmp: QmpClient): Promise<Compared[]> {
  const disks = devices.filter((device) => device.t === 'disk');
  const drives = await qmp.execute('query-block', {});
  return [
    {
      what: 'the set of disk images',
      defined: setOf(disks.flatMap(({ source, readonly }) => (source === undefined ? [] : [imageOf(source, readonly)]))),
      qemu: setOf(drives.flatMap(({ inserted }) => (inserted === undefined ? [] : [imageOf(inserted.file, inserted.ro)]))),
    },
  ];
}

const imageOf = (path: string, readonly: boolean): string => (readonly ? `${path} (read-only)` : path);

/** The functions on the root bus, but for the chipset's; the numbers of the buses behind it are the firmware's to give. */
async function ofPlaces({ devices, os }: DomainDefinition, qmp: QmpClient): Promise<Compared[]> {
  const family = machineFamily(os.machine);
  if (family === undefined) return [];
  const buses = await qmp.execute('query-pci', {});
  const defined = devices.filter(isPciFunction).flatMap(({ address }) => (address?.bus === 0 ? [address] : []));
  const placed = buses.filter(({ bus }) => bus === 0).flatMap((root) => root.devices);
  const own = placed.filter(({ slot }) => !chipsetSlots[family].includes(slot));
  const text = (place: { readonly slot: number; readonly function: number }) => `${place.slot.toString(16)}.${place.function}`;
  return [{ what: 'the set of PCI places in use', defined: setOf(defined.map(text)), qemu: setOf(own.map(text)) }];
}

const setOf = (members: readonly string[]): string => `{${[...members].sort().join(', ')}}`;
