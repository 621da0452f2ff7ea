import type { Host } from '@vmferry/lab';
import { expect } from 'vitest';
import { eventually } from '../world/eventually.js';
import type { Run } from '../world/run.js';
import type { World } from '../world/world.js';

/** How long after the end of a migration its last event may come. */
const toldMs = 10_000;

/** Where the readers of both agents of each host stand. */
export type Marks = ReadonlyMap<string, number>;

/** A guest, and the hosts whose word on it counts. */
type Watched = Pick<World, 'uuid' | 'hosts'>;

/** From here on events count. */
export async function marksOf(world: Pick<Watched, 'hosts'>): Promise<Marks> {
  const urls = world.hosts.flatMap((host) => [host.source.url, host.destination.url]);
  return new Map(await Promise.all(urls.map(async (url) => [url, await newestId(url)] as const)));
}

/** The guest's events on a host since the marks, of both its agents in the order of their time. */
async function toldOn(world: Watched, host: Host, marks: Marks): Promise<string[]> {
  const told = await Promise.all([eventsOf(world, host, 'source', marks), eventsOf(world, host, 'destination', marks)]);
  return told
    .flat()
    .sort((a, b) => a.id - b.id)
    .map(({ event, detail }) => `${event}/${detail}`);
}

/** A9: these events, in this order, and no other. Whatever brings them about is over. */
export async function expectTold(world: Watched, marks: Marks, expected: ReadonlyMap<Host, readonly string[]>): Promise<void> {
  await eventually(async () => {
    for (const [host, events] of expected) expect(await toldOn(world, host, marks), `A9: events on ${host.name}`).toEqual(events);
  }, toldMs);
}

/** The same of a migration, on the host that the guest was to leave and on the one that it was to come to. */
export const expectToldOf = (
  world: Watched,
  marks: Marks,
  run: Pick<Run, 'from' | 'to'>,
  source: readonly string[],
  target: readonly string[],
) =>
  expectTold(
    world,
    marks,
    new Map([
      [run.from, source],
      [run.to, target],
    ]),
  );

async function eventsOf(world: Watched, host: Host, side: 'source' | 'destination', marks: Marks) {
  const client = side === 'source' ? host.sourceClient() : host.destinationClient();
  const mark = marks.get(client.baseUrl) ?? 0;
  const newest = await newestId(client.baseUrl);
  const found: { id: number; event: string; detail: string }[] = [];
  if (newest <= mark) return found;
  for await (const { id, event, detail, domain } of client.events({ afterId: mark })) {
    if (domain.uuid === world.uuid) found.push({ id, event, detail });
    if (id >= newest) break;
  }
  return found;
}

/** Without a Last-Event-ID the stream says first where its reader stands. */
async function newestId(url: string): Promise<number> {
  const { body } = await fetch(`${url}/v1/events`);
  let text = '';
  if (body === null) throw new Error(`${url} has no events`);
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const [, id] = /^id: (\d+)\n/m.exec(text) ?? [];
    // Who leaves the loop closes the connection.
    if (id !== undefined) return Number(id);
  }
  throw new Error(`${url} tells nothing: ${text}`);
}

/** The state of a guest on a host, with its reason. */
export async function stateOn({ uuid }: Pick<Watched, 'uuid'>, host: Host): Promise<string> {
  const { state, reason } = await host.sourceClient().domain(uuid);
  return `${state}/${reason}`;
}

export const untilState = (guest: Pick<Watched, 'uuid'>, host: Host, expected: string) =>
  eventually(async () => expect(await stateOn(guest, host), `S48: the state on ${host.name}`).toBe(expected));
