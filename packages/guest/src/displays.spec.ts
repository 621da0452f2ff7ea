import { readFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { graphicsOf } from '@vmferry/domain';
import { displayPortsOf } from '@vmferry/hypervisor';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Displays, findGuest, type Guest, type GuestHost, obstaclesTo, startGuest } from './index.js';
import { definitionOf, specHost } from './spec-host.js';

let world: Awaited<ReturnType<typeof specHost>>;
let host: GuestHost;
const guests: Guest[] = [];
const [first, last] = [45_970, 45_972];

beforeAll(async () => {
  world = await specHost();
  host = { ...world.host, displays: displaysOf({}) };
});
afterEach(async () => {
  for (const guest of guests.splice(0)) await ended(guest);
});
afterAll(() => world.close());

/** What each agent of the host has: the lock files are the same. */
function displaysOf(o: Partial<ConstructorParameters<typeof Displays>[0]>): Displays {
  return new Displays({
    range: { first, last },
    folder: join(world.host.runtimeDir, '..', 'locks'),
    tls: null,
    hostName: 'spec',
    ...o,
  });
}

const definitionWith = (id: number, graphics: string) =>
  definitionOf(host, undefined, `6f3c9a52-1d0e-4a7b-8c55-${String(id).padStart(12, '0')}`, graphics);

async function started(id: number, graphics: string): Promise<Guest> {
  const placed = await host.displays.place(await definitionWith(id, graphics));
  try {
    const guest = await startGuest(host, {
      placed,
      incoming: false,
      persistent: false,
      state: { state: 'paused', reason: 'user' },
      migration: null,
    });
    guests.push(guest);
    return guest;
  } finally {
    placed.close();
  }
}

async function ended(guest: Guest): Promise<void> {
  await guest.kill();
  await guest.dispose({ migrated: false });
}

const displayOf = ({ definition }: Guest) => {
  const graphics = graphicsOf(definition);
  if (graphics === undefined) throw new Error('the guest has no display');
  return graphics;
};

async function listening(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

function reached(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

const vnc = "<graphics type='vnc' autoport='yes'/>";
const spice = "<graphics type='spice' autoport='yes'/>";

describe('ports that the host chooses', () => {
  it('are of one guest each, are where its QEMU listens, and are free again with its end', async () => {
    const stranger = await listening(first);
    const [one, other] = [await started(1, vnc), await started(2, spice)];
    expect([displayOf(one).port, displayOf(other).port]).toEqual([first + 1, first + 2]);
    for (const guest of [one, other]) {
      const { port, tlsPort } = displayOf(guest);
      expect(await displayPortsOf(guest.qmp, displayOf(guest))).toEqual({ port, tlsPort });
      expect(await reached(port)).toBe(true);
      expect((await host.statuses.read(guest.uuid))?.domainXml).toContain(`port='${port}'`);
    }
    await expect(started(3, vnc)).rejects.toMatchObject({ code: 'port-busy', message: expect.stringMatching(/--display-ports/) });
    guests.shift();
    await ended(one);
    expect(displayOf(await started(3, spice)).port).toBe(first + 1);
    stranger.close();
  });

  it('are held by QEMU alone: neither the end of the agent nor the other agent gives them away', async () => {
    const guest = await started(1, vnc);
    guest.qmp.close();
    const otherAgent = displaysOf({});
    const fresh = await otherAgent.place(await definitionWith(2, vnc));
    expect(fresh.place?.port).toBe(first + 1);
    await expect(displaysOf({ range: { first: first + 1, last: first + 1 } }).place(fresh.definition)).rejects.toMatchObject({
      code: 'port-busy',
    });
    fresh.close();
    guests.splice(0);
    const again = await findGuest(host, guest.status);
    if (again === null) throw new Error('the guest has ended');
    guests.push(again);
    expect(displayOf(again)).toEqual(displayOf(guest));
  });

  it('that were taken for a start that fails are given back by it', async () => {
    const definition = await definitionWith(1, `${vnc}<hostdev/>`);
    const placed = await host.displays.place(definition);
    const start = {
      placed,
      incoming: false,
      persistent: false,
      state: { state: 'paused', reason: 'user' } as const,
      migration: null,
    };
    await expect(startGuest(host, start)).rejects.toMatchObject({ code: 'device-unsupported' });
    placed.close();
    expect(displayOf(await started(1, vnc)).port).toBe(first);
  });
});

describe('a port that the definition names', () => {
  const named = `<graphics type='vnc' port='${first}'/>`;

  it('is refused while another guest has it, or something else, before anything happens; the check foresees it', async () => {
    await started(1, vnc);
    await expect(started(2, named)).rejects.toMatchObject({ code: 'port-busy', message: expect.stringContaining(String(first)) });
    expect(await obstaclesTo(host, await definitionWith(2, named))).toMatchObject([{ code: 'port-busy' }]);
    await ended(guests.splice(0)[0] as Guest);
    const stranger = await listening(first);
    await expect(started(2, named)).rejects.toMatchObject({ code: 'port-busy' });
    stranger.close();
    expect(displayOf(await started(2, named)).port).toBe(first);
  });

  it('at an address that this host does not have is refused', async () => {
    const elsewhere = `<graphics type='vnc' port='${first}' listen='192.0.2.1'/>`;
    await expect(started(1, elsewhere)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('192.0.2.1'),
    });
  });

  it('with TLS is refused on a host that has no certificates', async () => {
    await expect(started(1, `<graphics type='spice' tlsPort='${first}'/>`)).rejects.toMatchObject({
      code: 'tls-unavailable',
      message: expect.stringMatching(/--spice-tls-dir/),
    });
  });
});

it.each([
  ['vnc', "<graphics type='vnc' passwd='canary-1'/>", 'vnc'],
  ['spice', "<graphics type='spice' passwd='canary-1' passwdValidTo='2036-01-01T00:00:00'/>", 'spice'],
] as const)('the password of a %s display is set, and is in no command line and no log', async (type, graphics, auth) => {
  const guest = await started(1, graphics);
  const told = type === 'vnc' ? await guest.qmp.execute('query-vnc', {}) : await guest.qmp.execute('query-spice', {});
  expect(told.auth).toBe(auth);
  expect(readFileSync(`/proc/${guest.status.process.pid}/cmdline`, 'utf8')).not.toContain('canary');
  expect(await guest.logTail()).not.toContain('canary');
});
