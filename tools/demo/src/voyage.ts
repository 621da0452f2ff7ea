import { VmferryError } from '@vmferry/errors';
import type { ArrivedTick, TickListener } from '@vmferry/guest-image';
import type { DemoHost } from './host.js';
import { orAborted } from './or-aborted.js';
import { heading, say } from './say.js';
import { type ListedDomain, listedDomains, type Vmferry } from './vmferry.js';

export const domain = 'demo';
export const commandMsMax = 30_000;
const bootMsMax = 180_000;
const migrationMsMax = 180_000;
/** A guest that runs ticks every 10 ms. */
const silenceMsMax = 15_000;
/** Ticks that are looked at before and after, at 100 a second. */
const ticksBefore = 100;
const ticksAfter = 200;
/** MiB/s: slow enough to watch. */
const bandwidth = '96';

export interface Stage {
  /** With the first host's source-agent as its default. */
  readonly vmferry: Vmferry;
  readonly hosts: readonly [DemoHost, DemoHost];
  readonly serial: TickListener;
  readonly signal: AbortSignal;
}

type Listed = readonly [readonly ListedDomain[], readonly ListedDomain[]];

/** What was seen of one guest that moved. */
export interface Voyage {
  /** Connection 0 is the QEMU on the first host, 1 the one on the second. */
  readonly ticks: readonly ArrivedTick[];
  readonly before: Listed;
  readonly after: Listed;
}

/** Boots the guest on the first host and moves it to the second. Null when it moved and was not heard there. */
export async function makeVoyage(stage: Stage): Promise<Voyage | null> {
  const { vmferry, hosts, serial, signal } = stage;
  const [here, there] = hosts;
  const connection = serial.connections;
  const heard = async (accept: (tick: ArrivedTick) => boolean, deadlineMs: number) =>
    orAborted(serial.waitForTick(accept, deadlineMs), signal);

  heading(`The guest boots on ${here.name}.`);
  await vmferry.run(['domain', 'start', domain], commandMsMax);
  const ready = await heard((tick) => tick.connection === connection && tick.counter > ticksBefore, bootMsMax);
  say(`The guest said on its serial port: ${tickText(ready)}`);
  const before = await listBoth(stage);

  heading(
    `It moves to ${there.name}: ${here.name} drives (peer-to-peer), its memory goes through the tunnel, at ${bandwidth} MiB/s so that there is something to watch.`,
  );
  const flags = ['--live', '--p2p', '--tunnelled', '--bandwidth', bandwidth];
  await vmferry.run(['migrate', domain, there.destinationUrl, ...flags], migrationMsMax);
  try {
    const arrived = await heard((tick) => tick.connection === connection + 1, silenceMsMax);
    await heard((tick) => tick.connection === connection + 1 && tick.counter >= arrived.counter + ticksAfter, silenceMsMax);
  } catch (error) {
    if (VmferryError.is(error, 'request-timeout')) return null;
    throw error;
  }
  const ticks = serial.ticks.filter((tick) => tick.connection >= connection);
  return {
    ticks: ticks.map((tick) => ({ ...tick, connection: tick.connection - connection })),
    before,
    after: await listBoth(stage),
  };
}

async function listBoth({ vmferry, hosts: [, there] }: Stage): Promise<Listed> {
  const here = await vmferry.read(['domain', 'list'], commandMsMax);
  return [listedDomains(here), listedDomains(await vmferry.read(['domain', 'list', '-c', there.sourceUrl], commandMsMax))];
}

/** A tick as the guest prints it. */
export const tickText = ({ counter, uptimeMs = Number.NaN, memory }: ArrivedTick): string =>
  `tick ${counter} uptime ${(uptimeMs / 1_000).toFixed(3)} memory ${memory.toUpperCase()}`;
