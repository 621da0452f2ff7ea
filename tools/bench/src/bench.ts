import { randomUUID } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { assignAddresses, parseDomain, resolveMachine } from '@vmferry/domain';
import { listenForTicks, type TickListener } from '@vmferry/guest-image';
import { type Capabilities, probe } from '@vmferry/hypervisor';
import { systemClock } from '@vmferry/seams';
import { AgentsRig } from './agents-rig.js';
import type { BenchGuest } from './bench-guest.js';
import { LoneRig } from './lone-rig.js';
import type { Rig } from './rig.js';
import { type Measured, measureRounds } from './rounds.js';

/** The same parameters as vmferry's. Over TCP, as between two hosts; over a unix socket, which is QEMU's best, on one. */
export const controls = ['QMP alone, careful, tcp', 'QMP alone, careful, unix'] as const;
export const ferryWays = ['vmferry direct', 'vmferry tunnelled'] as const;

/** Measures one guest in all ways; `folder` has a short path and is empty. */
export function benchGuestIn(folder: string, guest: BenchGuest, rounds: number, tell: (line: string) => void): Promise<Measured> {
  return withRigs(folder, guest, (lone, agents) => {
    const [direct, tunnelled] = ferryWays;
    const [tcp, unix] = controls;
    const ways = [
      lone.way(tcp, { transport: 'tcp', parameters: 'careful' }),
      agents.way(direct, ['LIVE']),
      lone.way(unix, { transport: 'unix', parameters: 'careful' }),
      agents.way(tunnelled, ['LIVE', 'TUNNELLED']),
      lone.way('QMP alone, defaults, unix', { transport: 'unix', parameters: 'defaults' }),
    ];
    return measureRounds(ways, rounds, tell);
  });
}

/** The guest twice, with QMP alone and with vmferry; everything that was started is ended. */
export async function withRigs<R>(
  folder: string,
  guest: BenchGuest,
  act: (lone: LoneRig, agents: AgentsRig) => Promise<R>,
): Promise<R> {
  const capabilities = await probe({ clock: systemClock, kvm: false });
  const closing: (() => Promise<void>)[] = [];
  try {
    const lone = await keep(closing, await startLone(folder, guest, capabilities, closing));
    const agents = await keep(closing, await startAgents(folder, guest, closing));
    return await act(lone, agents);
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

async function keep<R extends Rig>(closing: (() => Promise<void>)[], rig: R): Promise<R> {
  closing.push(() => rig.close());
  return rig;
}

async function startLone(
  folder: string,
  guest: BenchGuest,
  capabilities: Capabilities,
  closing: (() => Promise<void>)[],
): Promise<LoneRig> {
  const { own, serial, ticks } = await placeOf(join(folder, 'l'), closing);
  const xml = await guest.define({ name: 'lone', uuid: randomUUID(), folder: own, serial });
  const definition = assignAddresses(resolveMachine(parseDomain(xml), capabilities.machineAliases));
  return LoneRig.start(definition, capabilities, own, ticks);
}

async function startAgents(folder: string, guest: BenchGuest, closing: (() => Promise<void>)[]): Promise<AgentsRig> {
  const { own, serial, ticks } = await placeOf(join(folder, 'v'), closing);
  const hosts = [join(own, 'a'), join(own, 'b')] as const;
  for (const host of hosts) await mkdir(host, { mode: 0o711 });
  const xml = await guest.define({ name: 'ferried', uuid: randomUUID(), folder: own, serial });
  return AgentsRig.start([...hosts], 'ferried', xml, ticks);
}

/** A folder through which QEMU's own user can pass, and the socket for the guest's ticks in it. */
async function placeOf(
  own: string,
  closing: (() => Promise<void>)[],
): Promise<{ own: string; serial: string; ticks: TickListener }> {
  await mkdir(own);
  await chmod(own, 0o711);
  const serial = join(own, 't');
  const ticks = await listenForTicks(serial);
  closing.push(() => ticks.close());
  return { own, serial, ticks };
}
