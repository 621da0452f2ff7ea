import { VmferryError } from '@vmferry/errors';
import { attribute, child, parseXml, type XmlElement } from '@vmferry/xml';
import { completeDocument } from './complete.js';
import { checkConsistency, refine } from './consistency.js';
import { type CrashAction, type DomainDefinition, type DomainFeatures, domainTypes, type LifecycleAction } from './definition.js';
import { absolutePath, domainName, invalid, matching, oneOf, only, quote, textOfOnly } from './fields.js';
import { readClock } from './read-clock.js';
import { readCpu } from './read-cpu.js';
import { readDevices } from './read-devices.js';
import { readMemoryAndVcpus } from './read-memory.js';
import { readOs } from './read-os.js';
import { readSecLabels } from './read-seclabels.js';
import { readUnsupported } from './read-unsupported.js';

export interface ParseOptions {
  /** Default: all that vmferry accepts. */
  readonly expectedTypes?: readonly string[];
  /** Taken when the document has no uuid, as a definition by hand may. */
  readonly uuidIfMissing?: string;
}

/**
 * Reads a domain definition of at most 1 MiB. A missing MAC address is filled in.
 *
 * Throws what `parseXml` throws; `domain-type-unexpected` before anything else is read (S12); `definition-invalid` naming the
 * element. What can be read but not started is in `unsupported` and in the devices of that name: see `checkSupported`.
 */
export function parseDomain(xml: string, options: ParseOptions = {}): DomainDefinition {
  const root = parseXml(xml);
  if (root.name !== 'domain') throw invalid(`<${root.name}>`, 'is the root; a domain definition has the root <domain>');
  checkType(root, options.expectedTypes ?? domainTypes);
  return readDomain(completeDocument(root, options.uuidIfMissing));
}

function checkType(root: XmlElement, expected: readonly string[]): void {
  const type = attribute(root, 'type') ?? '';
  if (expected.includes(type) && domainTypes.some((known) => known === type)) return;
  const detail = `The domain is of the type ${quote(type)}; accepted here are ${expected.join(', ')}.`;
  throw new VmferryError('domain-type-unexpected', detail, { data: { type, expected } });
}

/** The reading of a document, which is the same for the same document. */
export function readDomain(root: XmlElement): DomainDefinition {
  const type = oneOf('<domain type>', attribute(root, 'type') ?? '', domainTypes);
  const memoryAndVcpus = readMemoryAndVcpus(root);
  const os = readOs(root);
  const cpu = readCpu(root, memoryAndVcpus.vcpusMax);
  const devicesElement = only(root, 'devices');
  const emulator = devicesElement === undefined ? undefined : textOfOnly(devicesElement, 'emulator');
  const definition: DomainDefinition = {
    type,
    name: domainName('<name>', textOfOnly(root, 'name') ?? ''),
    uuid: readUuid(root),
    ...memoryAndVcpus,
    os,
    features: readFeatures(root),
    ...(cpu === undefined ? {} : { cpu }),
    onPoweroff: readAction(root, 'on_poweroff', 'destroy'),
    onReboot: readAction(root, 'on_reboot', 'restart'),
    onCrash: readCrashAction(root),
    clock: readClock(root),
    ...(emulator === undefined ? {} : { emulator: absolutePath('<emulator>', emulator) }),
    devices: refine(readDevices(root), os.machine),
    secLabels: readSecLabels(root),
    unsupported: readUnsupported(root),
    xml: root,
  };
  checkConsistency(definition);
  return definition;
}

function readUuid(root: XmlElement): string {
  const uuid = textOfOnly(root, 'uuid');
  if (uuid === undefined) throw invalid('<uuid>', 'is missing');
  const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
  return matching('<uuid>', uuid.toLowerCase(), pattern, 'a uuid of 8-4-4-4-12 hex digits');
}

function readFeatures(root: XmlElement): DomainFeatures {
  const features = only(root, 'features');
  const has = (name: string) => features !== undefined && child(features, name) !== undefined;
  const vmport = features === undefined ? undefined : only(features, 'vmport');
  return {
    acpi: has('acpi'),
    apic: has('apic'),
    pae: has('pae'),
    ...(vmport === undefined
      ? {}
      : { vmport: oneOf('<vmport state>', attribute(vmport, 'state') ?? 'on', ['on', 'off']) === 'on' }),
  };
}

const actions = ['destroy', 'restart', 'preserve', 'rename-restart'] as const;

function readAction(root: XmlElement, name: 'on_poweroff' | 'on_reboot', otherwise: LifecycleAction): LifecycleAction {
  return oneOf(`<${name}>`, textOfOnly(root, name) ?? otherwise, actions);
}

function readCrashAction(root: XmlElement): CrashAction {
  const crashActions = [...actions, 'coredump-destroy', 'coredump-restart'] as const;
  return oneOf('<on_crash>', textOfOnly(root, 'on_crash') ?? 'destroy', crashActions);
}
