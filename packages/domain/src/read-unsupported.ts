import { attribute, child, isElement, textOf, type XmlElement } from '@vmferry/xml';

/** Elements of the domain that change what the guest sees or what QEMU does, and that nothing here acts on. */
const refusedElements = new Set([
  'bootloader',
  'genid',
  'idmap',
  'launchSecurity',
  'maxMemory',
  'qemu:commandline',
  'qemu:capabilities',
  'qemu:override',
  'sysinfo',
  'vcpus',
]);
const refusedOfOs = new Set(['acpi', 'bios', 'dtb', 'firmware', 'init', 'nvram', 'smbios']);
const refusedOfCpu = new Set(['cache', 'maxphysaddr', 'numa']);
const actedOnFeatures = new Set(['acpi', 'apic', 'pae', 'vmport']);

/**
 * What the document asks for outside `<devices>` that cannot be started here. A document may be kept with it; a start that
 * silently left it out would give the guest another machine than its owner wrote.
 */
export function readUnsupported(root: XmlElement): string[] {
  return [
    ...names(root).filter((name) => refusedElements.has(name)),
    ...ofMemoryBacking(child(root, 'memoryBacking')),
    ...ofOs(child(root, 'os')),
    ...names(child(root, 'features'))
      .filter((name) => !actedOnFeatures.has(name))
      .map((name) => `features/${name}`),
    ...ofCpu(child(root, 'cpu')),
    ...ofClock(child(root, 'clock')),
  ];
}

function names(of: XmlElement | undefined): string[] {
  return of === undefined ? [] : of.children.filter(isElement).map(({ name }) => name);
}

function ofMemoryBacking(backing: XmlElement | undefined): string[] {
  const allocation = backing === undefined ? undefined : child(backing, 'allocation');
  const threads = allocation === undefined ? undefined : attribute(allocation, 'threads');
  return [
    ...names(backing)
      .filter((name) => name !== 'allocation')
      .map((name) => `memoryBacking/${name}`),
    ...(threads === undefined ? [] : [`memoryBacking/allocation threads='${threads}'`]),
  ];
}

function ofOs(os: XmlElement | undefined): string[] {
  if (os === undefined) return [];
  const type = child(os, 'type');
  const osType = type === undefined ? '' : textOf(type).trim();
  const firmware = attribute(os, 'firmware');
  const loader = child(os, 'loader');
  const loaderType = (loader === undefined ? undefined : attribute(loader, 'type')) ?? 'rom';
  return [
    ...(osType === 'hvm' ? [] : [`os/type '${osType}'`]),
    ...(firmware === undefined ? [] : [`os firmware='${firmware}'`]),
    ...(loaderType === 'rom' ? [] : [`os/loader type='${loaderType}'`]),
    ...names(os)
      .filter((name) => refusedOfOs.has(name))
      .map((name) => `os/${name}`),
  ];
}

function ofCpu(cpu: XmlElement | undefined): string[] {
  if (cpu === undefined) return [];
  const model = child(cpu, 'model');
  const vendorId = model === undefined ? undefined : attribute(model, 'vendor_id');
  return [
    ...(vendorId === undefined ? [] : [`cpu/model vendor_id='${vendorId}'`]),
    ...(attribute(cpu, 'migratable') === 'off' ? ["cpu migratable='off'"] : []),
    ...names(cpu)
      .filter((name) => refusedOfCpu.has(name))
      .map((name) => `cpu/${name}`),
  ];
}

function ofClock(clock: XmlElement | undefined): string[] {
  const offset = (clock === undefined ? undefined : attribute(clock, 'offset')) ?? 'utc';
  return offset === 'utc' || offset === 'localtime' ? [] : [`clock offset='${offset}'`];
}
