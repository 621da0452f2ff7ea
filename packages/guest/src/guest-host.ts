import type { Auditor } from '@vmferry/audit';
import type { DomainDefinition } from '@vmferry/domain';
import type { DomainStatuses } from '@vmferry/host-state';
import type { Capabilities } from '@vmferry/hypervisor';
import type { LockDriver } from '@vmferry/locking';
import type { HostInterfaces } from '@vmferry/network';
import type { Clock, FaultPoints } from '@vmferry/seams';
import type { SecurityDriver } from '@vmferry/security-label';
import type { Displays } from './displays.js';

/** Which of the host's two agents owns a guest, and so which of its two monitors is used. */
export type Owner = 'source' | 'destination';

/** What a guest needs of the host it is on. */
export interface GuestHost {
  readonly clock: Clock;
  readonly faults: FaultPoints;
  readonly owner: Owner;
  readonly statuses: DomainStatuses;
  /** Short path for the sockets of QEMU, one folder of mode 0700 per guest below it. */
  readonly runtimeDir: string;
  /** Where the log of each QEMU is kept. */
  readonly logDir: (uuid: string) => string;
  readonly locks: LockDriver;
  readonly security: SecurityDriver;
  readonly network: HostInterfaces;
  readonly displays: Displays;
  readonly auditor: Auditor;
  /** Who QEMU runs as; null when the agent is not root and QEMU runs as the agent's own user. */
  readonly qemuUser: { readonly uid: number; readonly gid: number } | null;
  capabilities(definition: Pick<DomainDefinition, 'emulator' | 'type'>): Promise<Capabilities>;
}
