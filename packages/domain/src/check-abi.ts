import { VmferryError } from '@vmferry/errors';
import { child, textOf, type XmlElement } from '@vmferry/xml';
import { type AbiDeviceKind, addressText, canonicalText, deviceKinds } from './abi-facts.js';
import type { DomainDefinition } from './definition.js';
import { deviceElements } from './read-devices.js';

/** One thing that the guest would find changed. `message` names the candidate's value first (S4). */
export interface AbiDifference {
  readonly field: string;
  readonly target: string;
  readonly source: string;
  readonly message: string;
}

/**
 * Every difference that the guest could see between the domain as it runs and the definition that it is to go on with, in
 * libvirt's order (libvirt-protocol, A11). Names, paths, backends, graphics and on_* actions may differ.
 */
export function checkAbi(source: DomainDefinition, target: DomainDefinition): AbiDifference[] {
  return [...compareDomains(source, target), ...deviceKinds.flatMap((kind) => compareDevices(kind, source.xml, target.xml))];
}

/** Refuses with `abi-mismatch`: the message is the first difference, `errors` are all. */
export function throwIfAbiDiffers(source: DomainDefinition, target: DomainDefinition): void {
  const differences = checkAbi(source, target);
  const [first] = differences;
  if (first === undefined) return;
  throw new VmferryError('abi-mismatch', `${first.message}.`, {
    errors: differences.map(({ field, message }) => ({ path: field, code: 'abi-mismatch', detail: message })),
  });
}

/**
 * Whether a definition from outside may replace that of a running domain as a migration's target (S24, S33): the name must be the
 * same, which is `invalid-argument`, and so must all that the guest sees.
 */
export function checkTargetDefinition(source: DomainDefinition, target: DomainDefinition): void {
  if (source.name !== target.name) {
    const detail = `Target domain name ${target.name} does not match source ${source.name}.`;
    throw new VmferryError('invalid-argument', detail, { data: { target: target.name, source: source.name } });
  }
  throwIfAbiDiffers(source, target);
}

function compareDomains(source: DomainDefinition, target: DomainDefinition): AbiDifference[] {
  const facts: readonly [string, (of: DomainDefinition) => string | number][] = [
    ['domain virt type', ({ type }) => type],
    ['domain uuid', ({ uuid }) => uuid],
    ['domain max memory', ({ memoryKib }) => memoryKib],
    ['domain current memory', ({ currentMemoryKib }) => currentMemoryKib],
    ['domain memory backing', ({ xml }) => canonicalText(child(xml, 'memoryBacking'))],
    ['domain vcpu count', ({ vcpus }) => vcpus],
    ['domain vcpu max', ({ vcpusMax }) => vcpusMax],
    ['domain OS type', ({ xml }) => osType(xml)],
    ['domain architecture', ({ os }) => os.arch],
    ['domain machine type', ({ os }) => os.machine],
    ['domain SMBIOS mode', ({ xml }) => canonicalText(inOs(xml, 'smbios'))],
    ['domain features', ({ xml }) => featuresText(child(xml, 'features'))],
    ['domain timers', ({ clock }) => clock.timers.length],
  ];
  const timers = source.clock.timers.length === target.clock.timers.length ? compareTimers(source, target) : [];
  const last: typeof facts = [
    // `check` and `match` say how a host is to be chosen, which is over when the guest runs.
    ['domain CPU', ({ xml }) => canonicalText(child(xml, 'cpu'), ['check', 'match'])],
    ['domain sysinfo', ({ xml }) => canonicalText(child(xml, 'sysinfo'))],
  ];
  const compare = (list: typeof facts) => list.flatMap(([field, value]) => differ(field, value(source), value(target)));
  return [...compare(facts), ...timers, ...compare(last)];
}

function compareTimers(source: DomainDefinition, target: DomainDefinition): AbiDifference[] {
  return source.clock.timers.flatMap((timer, index) => {
    const other = target.clock.timers[index];
    if (other === undefined) return [];
    const isTsc = timer.name === 'tsc';
    return [
      ...differ(`timer ${index}`, timer.name, other.name),
      ...differ(`timer ${timer.name} presence`, String(timer.present ?? 'default'), String(other.present ?? 'default')),
      ...(isTsc ? differ('timer tsc frequency', timer.frequencyHz ?? 0, other.frequencyHz ?? 0) : []),
      ...(isTsc ? differ('timer tsc mode', timer.mode ?? '', other.mode ?? '') : []),
    ];
  });
}

function compareDevices(kind: AbiDeviceKind, source: XmlElement, target: XmlElement): AbiDifference[] {
  const of = (root: XmlElement) => deviceElements(root).filter(({ name }) => name === kind.element);
  const sources = of(source);
  const targets = of(target);
  if (sources.length !== targets.length) return differ(`domain ${kind.element} count`, sources.length, targets.length);
  return sources.flatMap((device, index) => {
    const other = targets[index];
    if (other === undefined) return [];
    const name = `${kind.element} ${index}`;
    return [
      ...kind.facts.flatMap(({ label, value }) => differ(`${name} ${label}`, value(device), value(other))),
      ...differ(`${name} address`, addressText(device), addressText(other)),
    ];
  });
}

function differ(field: string, source: string | number, target: string | number): AbiDifference[] {
  if (source === target) return [];
  const message = `Target ${field} ${target} does not match source ${source}`;
  return [{ field, target: String(target), source: String(source), message }];
}

function inOs(root: XmlElement, name: string): XmlElement | undefined {
  const os = child(root, 'os');
  return os === undefined ? undefined : child(os, name);
}

function osType(root: XmlElement): string {
  const type = inOs(root, 'type');
  return type === undefined ? '' : textOf(type).trim();
}

/** An empty `<features>` says as much as none. */
function featuresText(features: XmlElement | undefined): string {
  return features?.children.length === 0 ? canonicalText(undefined) : canonicalText(features);
}
