import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { type QemuCertificates, qemuFolder, TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { ask, expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { eventually } from '../world/eventually.js';
import { expectFree } from '../world/ports.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { World } from '../world/world.js';

const [authority, stranger] = [new TestAuthority(), new TestAuthority()];
const folders: string[] = [];
afterAll(() => {
  authority.remove();
  stranger.remove();
  for (const dir of folders) rmSync(dirname(dir), { recursive: true });
});

const qemuGroup = 65_534;
const [first, second] = [23_162, 23_163] as const;
const ports = { migrationPorts: `${first}-${second}` };

/** A host whose QEMUs have certificates of the one authority, but for what a case changes. */
function host(change: Partial<QemuCertificates> = {}) {
  const pair = () => authority.issue(['agent']);
  const dir = qemuFolder({ ca: authority.ca, server: pair(), client: pair(), ...change }, qemuGroup);
  folders.push(dir);
  return { ...ports, migrateTlsDir: dir };
}

const flags = ['LIVE', 'TLS'];
const uris = [undefined, 'tcp:localhost'] as const;
const ways = (['p2p-direct', 'managed-direct'] as const).flatMap((mode) => uris.map((uri) => [mode, uri] as const));
const wish = (uri: string | undefined) => (uri === undefined ? {} : { uri });

describe("QEMU's own TLS on the stream (threat 4)", () => {
  const inWorld = sharedWorld({ hosts: { a: host(), b: host() } });

  it.each(ways)('%s, uri %s: the guest goes there and back, encrypted, and no QEMU keeps a key', (mode, uri) =>
    inWorld(async (world) => {
      for (let leg = 0; leg < 2; leg += 1) {
        await expectSettled(world, migrate(world, { mode, flags, ...wish(uri) }), 'destination');
        await expectNoCredentials(world);
      }
      await expectFree(first);
      await expectFree(second);
    }),
  );

  it('an end without TLS gets no guest from one with it, and the other way round: failed, by name', () =>
    inWorld(async (world) => {
      for (const [begun, prepared] of [
        [flags, ['LIVE']],
        [['LIVE'], flags],
      ]) {
        const hand = await new ByHand(world).upTo('begin', { flags: begun });
        const answer = await hand.prepare({ flags: prepared });
        hand.prepared = answer.body as unknown as typeof hand.prepared;
        expectProblem(await hand.perform({ flags: begun }), 409, 'migration-failed');
        await hand.giveUp();
        await expectNoCredentials(world);
      }
    }));

  it('threat 4: a stranger who connects first with something else than TLS is passed over', () =>
    inWorld(async (world) => {
      const { hand, uri } = await listening(world);
      const loud = createConnection({ port: first, host: '127.0.0.1' });
      loud.on('error', () => undefined).end('GET / HTTP/1.1\r\n\r\n');
      await new Promise((resolve) => loud.once('close', resolve));
      const performed = await hand.perform({ uri });
      expect(performed.status, JSON.stringify(performed.body)).toBe(200);
      await hand.giveUp();
      await expectNoCredentials(world);
    }));

  it('threat 4: one who connects first and says nothing ends the migration, after the time for its begin: the guest runs on all the while', () =>
    inWorld(async (world) => {
      const { hand, uri } = await listening(world);
      const silent = createConnection({ port: first, host: '127.0.0.1' }).on('error', () => undefined);
      await once(silent, 'connect');
      const performing = hand.perform({ uri });
      await eventually(() => expectHandshake(world));
      await world.moreTicks();
      await expectHandshake(world);
      const answer = await performing;
      expectProblem(answer, 409, 'migration-failed');
      expect(answer.body.detail).toContain('TLS handshake failed');
      expect((await world.there.destinationClient().migration(hand.id)).error).toMatchObject({ code: 'stream-silent' });
      silent.destroy();
      await hand.giveUp();
      await expectNoCredentials(world);
      await expectFree(first);
    }));

  it.each([
    ['source', 'S10', 'source'],
    ['destination', 'D18', 'destination'],
  ] as const)('a %s-agent that is killed at %s and comes back: no QEMU keeps a key', (app, point, guestOn) =>
    inWorld(async (world) => {
      const struck = app === 'source' ? world.here.source : world.there.destination;
      await world.arm(struck, `${point}=kill`);
      const run = migrate(world, { mode: 'p2p-direct', flags });
      await struck.exited;
      await struck.start();
      await expectSettled(world, run, guestOn);
      await expectNoCredentials(world);
    }),
  );

  it.each([
    ['TUNNELLED', 422, 'invalid-argument'],
    ['OFFLINE', 422, 'invalid-argument'],
  ] as const)('TLS is refused beside %s, and by the check too', (flag, status, code) =>
    inWorld(async (world) => {
      const body = { domain: world.name, destination: world.there.destination.url, flags: [...flags, flag, 'PERSIST_DEST'] };
      await expectUntouched(world, async () => {
        expectProblem(await ask(world.here.source.url, '/v1/migrations', { body }), status, code);
        const { blockers } = await world.here.sourceClient().checkMigration(body);
        const refusals = blockers.filter(({ detail }) => /TLS/.test(detail)).map((blocker) => [blocker.side, blocker.code]);
        expect(refusals.sort()).toEqual([
          ['destination', 'invalid-argument'],
          ['source', 'invalid-argument'],
        ]);
      });
    }),
  );
});

/** A migration that is prepared: QEMU listens at the first port, with TLS. */
async function listening(world: World) {
  const hand = await new ByHand(world).upTo('begin', { flags });
  const uri = `tcp:localhost:${first}`;
  hand.prepared = (await hand.prepare({ uri })).body as unknown as typeof hand.prepared;
  return { hand, uri };
}

/** The QEMU of the guest has its connection, and nobody who answers its TLS. */
async function expectHandshake({ here, name }: World): Promise<void> {
  expect((await here.sourceClient().monitorCommand(name, { execute: 'query-migrate' })).return).toMatchObject({
    status: 'setup',
  });
}

/** What the QEMU of the guest says of its next migration. */
async function expectNoCredentials({ here, name }: World): Promise<void> {
  const told = await here.sourceClient().monitorCommand(name, { execute: 'query-migrate-parameters' });
  expect(told.return).toMatchObject({ 'tls-creds': '', 'tls-hostname': '' });
  const { return: objects } = await here
    .sourceClient()
    .monitorCommand(name, { execute: 'qom-list', arguments: { path: '/objects' } });
  expect(JSON.stringify(objects)).not.toContain('tls');
}

describe('certificates that do not count', () => {
  it.each<[string, ReturnType<typeof host>, ReturnType<typeof host>, RegExp]>([
    [
      'a destination of another authority',
      host(),
      host({ ca: stranger.ca, server: stranger.issue(['agent']), client: stranger.issue(['agent']) }),
      /issuer/,
    ],
    [
      'a destination of another name',
      host(),
      host({ server: authority.issue(['agent'], { names: ['DNS:elsewhere'] }) }),
      /hostname/,
    ],
  ])('%s: failed with the reason, the guest runs on, nothing is left', async (_what, a, b, reason) => {
    const world = await World.open({ hosts: { a, b } });
    for (const [mode, uri] of ways) {
      const { source } = await expectSettled(world, migrate(world, { mode, flags, ...wish(uri) }), 'source');
      if (mode === 'p2p-direct')
        expect(source?.error).toMatchObject({ code: 'migration-failed', detail: expect.stringMatching(reason) as string });
      await expectNoCredentials(world);
      await expectFree(first);
    }
    // The same guest goes over without it.
    await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
    await world.close({ keep: false });
  });
});

it('a source of an authority that the destination does not know: failed, and the destination has the reason', async () => {
  const both = join(authority.folder, 'both.pem');
  writeFileSync(both, `${readFileSync(authority.ca, 'utf8')}${readFileSync(stranger.ca, 'utf8')}`);
  const world = await World.open({ hosts: { a: host({ ca: both, client: stranger.issue(['agent']) }), b: host() } });
  for (const [mode, uri] of ways) {
    const { source, destination } = await expectSettled(world, migrate(world, { mode, flags, ...wish(uri) }), 'source');
    if (mode === 'p2p-direct') expect(source?.error).toMatchObject({ code: 'migration-failed' });
    expect(destination?.error).toMatchObject({ code: 'stream-failed', detail: expect.stringMatching(/issuer/) as string });
    await expectNoCredentials(world);
  }
  await world.close({ keep: false });
});

describe('a host that cannot', () => {
  const expired = authority.issue(['agent'], { days: -1 });
  it.each<[string, object, object, 'source' | 'destination', RegExp]>([
    ['a source without a folder', ports, host(), 'source', /--migrate-tls-dir/],
    ['a destination without a folder', host(), ports, 'destination', /--migrate-tls-dir/],
    ['a source without a client certificate', hostWithout('client'), host(), 'source', /client-cert\.pem/],
    ['a destination without a server certificate', host(), hostWithout('server'), 'destination', /server-cert\.pem/],
    ['a source whose certificate is over', host({ client: expired }), host(), 'source', /was valid until/],
    ['a destination whose certificate is over', host(), host({ server: expired }), 'destination', /was valid until/],
  ])('%s: the check foresees it, and a migration by hand is refused', async (_what, a, b, side, reason) => {
    const world = await World.open({ hosts: { a, b } });
    const body = { domain: world.name, destination: world.there.destination.url, flags };
    await expectUntouched(world, async () => {
      const { blockers } = await world.here.sourceClient().checkMigration(body);
      expect(blockers).toMatchObject([{ side, code: 'tls-unavailable', detail: expect.stringMatching(reason) }]);
      if (side === 'source') expectProblem(await new ByHand(world).begin({ flags }), 422, 'tls-unavailable');
    });
    if (side === 'destination') {
      const hand = await new ByHand(world).upTo('begin', { flags });
      expectProblem(await hand.prepare(), 422, 'tls-unavailable');
      await hand.giveUp();
    }
    await world.close({ keep: false });
  });
});

function hostWithout(endpoint: 'client' | 'server') {
  const pair = authority.issue(['agent']);
  const dir = qemuFolder({ ca: authority.ca, ...(endpoint === 'client' ? { server: pair } : { client: pair }) }, qemuGroup);
  folders.push(dir);
  return { ...ports, migrateTlsDir: dir };
}
