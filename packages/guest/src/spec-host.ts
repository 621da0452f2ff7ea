import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditFile, Auditor } from '@vmferry/audit';
import { assignAddresses, type DomainDefinition, parseDomain, resolveMachine } from '@vmferry/domain';
import { openHostState } from '@vmferry/host-state';
import { probe } from '@vmferry/hypervisor';
import { EmbeddedLocks } from '@vmferry/locking';
import { HostInterfaces, type HostNetworks, ipLinks, noPortProfiles } from '@vmferry/network';
import { noFaults, systemClock, systemRandom } from '@vmferry/seams';
import { noLabels } from '@vmferry/security-label';
import { Displays, type GuestHost } from './index.js';

export const uuid = '6f3c9a52-1d0e-4a7b-8c55-0f9b3f1d2e11';

/** A real host in a folder of its own, for one spec: real documents, leases, audit and QEMU; files are not labelled. */
export async function specHost(
  networks: HostNetworks = new Map(),
): Promise<{ host: GuestHost; leftovers(): Promise<string[]>; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'vg-'));
  const state = await openHostState({
    stateDir: join(folder, 'state'),
    defaults: { hostName: 'spec', random: systemRandom },
    report: (fault) => {
      throw new Error(`${fault.path}: ${fault.reason}`);
    },
  });
  const auditor = new Auditor(await AuditFile.open(join(folder, 'audit'), systemClock.wall()), systemClock);
  const capabilities = await probe({ clock: systemClock, kvm: false });
  const runtimeDir = join(folder, 'run');
  const host: GuestHost = {
    clock: systemClock,
    faults: noFaults,
    owner: 'source',
    statuses: state.statuses,
    runtimeDir,
    logDir: (guest) => join(state.folders.run, guest),
    locks: await EmbeddedLocks.open({
      folder: state.folders.locks,
      scope: 'host',
      hostUuid: state.identity.hostUuid,
      clock: systemClock,
    }),
    security: noLabels,
    network: new HostInterfaces({
      hostUuid: state.identity.hostUuid,
      networks,
      links: ipLinks,
      ports: noPortProfiles,
      clock: systemClock,
    }),
    displays: new Displays({
      range: { first: 5970, last: 5979 },
      folder: state.folders.locks,
      tls: null,
      hostName: 'spec',
    }),
    auditor,
    qemuUser: null,
    capabilities: () => Promise.resolve(capabilities),
  };
  return {
    host,
    leftovers: async () => [
      ...(await readdir(runtimeDir).catch(() => [])),
      ...(await state.statuses.list()).map(({ name }) => `status of ${name}`),
    ],
    async close() {
      await auditor.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A guest with nothing but firmware, or with one disk, and with other devices as they are written in a definition. */
export async function definitionOf(host: GuestHost, disk?: string, id = uuid, devices = ''): Promise<DomainDefinition> {
  const diskXml =
    disk === undefined
      ? ''
      : `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>`;
  const definition = parseDomain(
    `<domain type='qemu'><name>${id === uuid ? 'spec' : `spec-${id}`}</name><uuid>${id}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu>` +
      `<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>${diskXml}${devices}<memballoon model='none'/></devices></domain>`,
  );
  const { machineAliases } = await host.capabilities(definition);
  return assignAddresses(resolveMachine(definition, machineAliases));
}
