import { attribute, type XmlElement } from '@vmferry/xml';
import type { DomainDefinition } from './definition.js';
import { attributeOf, integer, invalid, oneOf, only, quote, textOfOnly } from './fields.js';

const bytesOfUnit: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1e3,
  k: 1024,
  KiB: 1024,
  MB: 1e6,
  M: 1024 ** 2,
  MiB: 1024 ** 2,
  GB: 1e9,
  G: 1024 ** 3,
  GiB: 1024 ** 3,
  TB: 1e12,
  T: 1024 ** 4,
  TiB: 1024 ** 4,
};

const memoryKibMin = 1024;
const memoryKibMax = 16 * 1024 ** 3;
const vcpusLimit = 1024;

type MemoryAndVcpus = Pick<DomainDefinition, 'memoryKib' | 'currentMemoryKib' | 'memoryAllocation' | 'vcpus' | 'vcpusMax'>;

export function readMemoryAndVcpus(root: XmlElement): MemoryAndVcpus {
  const memoryKib = readMemory(root, 'memory');
  if (memoryKib === undefined) throw invalid('<memory>', 'is missing');
  const currentMemoryKib = readMemory(root, 'currentMemory') ?? memoryKib;
  if (currentMemoryKib > memoryKib) throw invalid('<currentMemory>', `is more than the ${memoryKib} KiB of <memory>`);

  const vcpu = only(root, 'vcpu');
  const vcpusMax = integer('<vcpu>', textOfOnly(root, 'vcpu') ?? '1', 1, vcpusLimit);
  const current = vcpu === undefined ? undefined : attribute(vcpu, 'current');
  const vcpus = current === undefined ? vcpusMax : integer('<vcpu current>', current, 1, vcpusMax);
  return { memoryKib, currentMemoryKib, memoryAllocation: readAllocation(root), vcpus, vcpusMax };
}

/** What else `<memoryBacking>` may ask for is in `unsupported`. */
function readAllocation(root: XmlElement): DomainDefinition['memoryAllocation'] {
  const backing = only(root, 'memoryBacking');
  const mode = backing === undefined ? undefined : attributeOf(backing, 'allocation', 'mode');
  return oneOf('<memoryBacking><allocation mode>', mode ?? 'ondemand', ['ondemand', 'immediate']);
}

/** In KiB, rounded up; the unit is KiB when none is given. */
function readMemory(root: XmlElement, name: 'memory' | 'currentMemory'): number | undefined {
  const text = textOfOnly(root, name);
  if (text === undefined) return undefined;
  const found = only(root, name);
  const unit = (found === undefined ? undefined : attribute(found, 'unit')) ?? 'KiB';
  const bytes = Object.hasOwn(bytesOfUnit, unit) ? bytesOfUnit[unit] : undefined;
  if (bytes === undefined) throw invalid(`<${name} unit>`, `is ${quote(unit)}, which is no unit of memory`);
  const count = integer(`<${name}>`, text, 0, Number.MAX_SAFE_INTEGER);
  const kib = Math.ceil((count * bytes) / 1024);
  if (kib < memoryKibMin || kib > memoryKibMax) {
    throw invalid(`<${name}>`, `is ${kib} KiB; it must be from ${memoryKibMin} to ${memoryKibMax} KiB`);
  }
  return kib;
}
