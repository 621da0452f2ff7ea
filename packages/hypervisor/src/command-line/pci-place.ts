import { type DomainDefinition, machineFamily, type PciAddress } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';

/** Properties of `-device` that put a function where the definition has it; the guest must find it there after each migration. */
export interface PciPlace {
  readonly bus: string;
  readonly addr: string;
  readonly multifunction?: true;
}

/** The bus behind the root port with this controller index, or the root bus for 0. */
function pciBusName(index: number, { os }: DomainDefinition): string {
  if (index > 0) return `pci.${index}`;
  return machineFamily(os.machine) === 'q35' ? 'pcie.0' : 'pci.0';
}

export function pciPlace(what: string, address: PciAddress | undefined, definition: DomainDefinition): PciPlace {
  if (address === undefined) {
    throw new VmferryError(
      'definition-invalid',
      `<${what}> of ${definition.name} has no PCI address; define the domain again, which fixes one.`,
    );
  }
  return {
    bus: pciBusName(address.bus, definition),
    addr: `${address.slot.toString(16)}.${address.function.toString(16)}`,
    ...(address.multifunction ? { multifunction: true } : {}),
  };
}
