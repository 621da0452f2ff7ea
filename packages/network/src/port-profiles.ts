import {
  actualDirectDev,
  actualType,
  actualVirtualPort,
  type DomainDefinition,
  type InterfaceDevice,
  tapsOf,
  type VirtualPort,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';

/** One virtual port of a guest at the switch that its host is connected to. */
export interface SwitchPort {
  /** The macvtap of the guest, and the device of the host below it. */
  readonly dev: string;
  readonly lowerDev: string;
  readonly mac: string;
  readonly domainUuid: string;
  readonly profile: VirtualPort;
}

/**
 * Tells the switch which virtual port a guest is at, as 802.1Qbg (lldpad, or whoever speaks VDP) and 802.1Qbh (firmware of the device) have it. Each
 * call is idempotent.
 */
export interface PortProfiles {
  /** Why ports of this profile cannot be had here; null when they can. */
  obstacle(profile: VirtualPort): string | null;
  associate(port: SwitchPort): Promise<void>;
  disassociate(port: SwitchPort): Promise<void>;
}

/** A host that speaks to no switch: a guest that needs a port is refused before anything has happened. */
export const noPortProfiles: PortProfiles = {
  obstacle: ({ type }) =>
    `a virtual port of type ${type ?? 'none'} is associated by whoever speaks to the switch, such as lldpad, and vmferry speaks to none`,
  associate: () => Promise.resolve(),
  disassociate: () => Promise.resolve(),
};

interface Around {
  readonly ports: PortProfiles;
  readonly clock: Clock;
}

/** The macvtaps of a definition. */
export function directOf(definition: DomainDefinition): InterfaceDevice[] {
  return tapsOf(definition).filter((device) => actualType(device) === 'direct');
}

/** A port that is there and says no type is none at a switch (S3). */
export function switchPortsOf(definition: DomainDefinition): SwitchPort[] {
  return directOf(definition).flatMap((device) => {
    const profile = actualVirtualPort(device);
    if (profile?.type === undefined || device.targetDev === undefined) return [];
    const lowerDev = actualDirectDev(device) ?? '';
    return [{ dev: device.targetDev, lowerDev, mac: device.mac, domainUuid: definition.uuid, profile }];
  });
}

/** In their order, all of them or none; the one that failed is disassociated too, for what it has reached at the switch is not known. */
export async function associateAll(around: Around, ports: readonly SwitchPort[]): Promise<void> {
  const begun: SwitchPort[] = [];
  try {
    for (const port of ports) {
      begun.push(port);
      await around.ports.associate(port);
    }
  } catch (thrown) {
    throw await rolledBack(around, begun, thrown);
  }
}

/** Disassociates them, the last first; what comes of `cause` has what failed meanwhile beside it. */
export async function rolledBack({ ports, clock }: Around, begun: readonly SwitchPort[], cause: unknown): Promise<VmferryError> {
  const error = VmferryError.from(cause, 'network-unavailable');
  for (const later of await failuresOf(begun.toReversed().map((port) => () => ports.disassociate(port))))
    error.suppress(later, clock.wall());
  return error;
}

/** Tries all, in their order. */
export async function failuresOf(acts: readonly (() => Promise<unknown>)[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const act of acts) await act().catch((thrown: unknown) => failures.push(thrown));
  return failures;
}
