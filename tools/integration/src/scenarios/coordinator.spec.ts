import { readFile } from 'node:fs/promises';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled, expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { configurationOn, keptOf } from '../checks/on-disk.js';
import { untilSettled, untilStreaming } from '../checks/resources.js';
import { ask, expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { proxyTo, type RecordingProxy } from '../world/proxy.js';
import { endless, mainModes, migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();

async function behindProxy(
  world: World,
  swallows: (asked: string) => boolean,
  act: (proxy: RecordingProxy) => Promise<void>,
): Promise<void> {
  const proxy = await proxyTo(world.there.destination.url, swallows);
  try {
    await act(proxy);
  } finally {
    await proxy.close();
  }
}

describe('the XML of the target', () => {
  it('S4, S24, S33: that the guest would notice is refused before the destination is contacted, with all differences', () =>
    inWorld(async (world) => {
      const { xml: live } = await world.here.sourceClient().domainXml(world.uuid);
      const xml = live.replace('>4096</memory>', '>8192</memory>').replace(/>1<\/vcpu>/, '>2</vcpu>');
      await behindProxy(
        world,
        () => false,
        async ({ url: destination, requests }) => {
          await expectUntouched(world, async () => {
            const body = { domain: world.name, flags: ['LIVE'], xml };
            const peerToPeer = await ask(world.here.source.url, '/v1/migrations', { body: { ...body, destination } });
            const managed = await new ByHand(world).begin({ xml });
            for (const answer of [peerToPeer, managed]) {
              expectProblem(answer, 422, 'abi-mismatch');
              expect(answer.body.detail).toBe('Target domain max memory 8192 does not match source 4096.');
              const errors = answer.body.errors as { detail: string }[]; // The shape of a problem document.
              expect(errors.map(({ detail }) => detail)).toEqual([
                'Target domain max memory 8192 does not match source 4096',
                'Target domain current memory 8192 does not match source 4096',
                'Target domain vcpu count 2 does not match source 1',
                'Target domain vcpu max 2 does not match source 1',
              ]);
            }
          });
          expect(requests).toEqual([]);
        },
      );
    }));

  it.each(mainModes)('S24: %s: that it would not is what it gets, under the name that it is given', (mode) =>
    inWorld(async (world) => {
      const { xml: live } = await world.here.sourceClient().domainXml(world.uuid);
      const xml = live.replace('<memory', '<description>of the target</description><memory');
      const run = migrate(world, { mode, flags: ['LIVE', 'PERSIST_DEST'], xml, destinationName: 'renamed' });
      expect(await run.driven).toBeNull();
      expect(await untilSettled(run.from.sourceClient(), run.id)).toMatchObject({ state: 'SUCCEEDED' });
      world.here = run.to;
      const there = run.to.sourceClient();
      expect(await there.domain('renamed')).toMatchObject({ uuid: world.uuid, state: 'running', persistent: true });
      const got = (await there.domainXml('renamed')).xml;
      expect(got).toContain('<description>of the target</description>');
      expect(await configurationOn(world, run.to), 'byte for byte').toBe(got);
      expect(got).toBe((await keptOf(run.to, run.id, 'incoming')).domain.xml);
      await world.moreTicks();
      expectOneLife(world);
      // And back, under its own name again.
      await there.migrate({
        domain: 'renamed',
        id: `${run.id}-b`,
        destination: run.from.destination.url,
        flags: ['LIVE', 'UNDEFINE_SOURCE'],
        destinationName: world.name,
      });
      expect(await untilSettled(there, `${run.id}-b`)).toMatchObject({ state: 'SUCCEEDED' });
      world.here = run.from;
      await world.moreTicks();
      await expectTidy(world, true);
    }),
  );
});

describe('several errors', () => {
  it.each(['p2p-direct', 'managed-direct'] as const)(
    'S27: %s: the first one is the error, and that of Finish is kept beside it',
    (mode) =>
      inWorld((world) =>
        behindProxy(
          world,
          (asked) => asked.endsWith('/finish') || asked.startsWith('DELETE /v1/sessions/'),
          async (proxy) => {
            const run = await failing(world, { mode, via: proxy.url });
            const { source } = await expectSettled(world, run, 'source');
            const told = mode === 'p2p-direct' ? source?.error : await run.driven;
            expect(told).toMatchObject({ code: 'migration-failed' });
            const finish = { side: 'destination', phase: 'finish', code: 'peer-unreachable' };
            if (mode === 'managed-direct') expect(told).toMatchObject({ suppressed: [expect.objectContaining(finish)] });
            else expect(told?.suppressed).toContainEqual(expect.objectContaining({ code: 'peer-unreachable' }));
          },
        ),
      ),
  );

  it('S5: it is kept although the control session at the destination cannot be closed any more, and that is closed', () =>
    inWorld((world) =>
      behindProxy(
        world,
        (asked) => asked.startsWith('DELETE /v1/sessions/'),
        async (proxy) => {
          const run = await failing(world, { mode: 'p2p-direct', via: proxy.url });
          const { source } = await expectSettled(world, run, 'source');
          expect(source?.error).toMatchObject({ code: 'migration-failed', side: 'source', phase: 'perform' });
          expect(source?.error?.suppressed ?? []).toEqual([]);
          const closed = proxy.requests.filter((asked) => asked.startsWith('DELETE /v1/sessions/'));
          expect([closed.length, proxy.swallowed()]).toEqual([1, 1]);
          const [, path = ''] = closed[0]?.split(' ') ?? [];
          expectProblem(await ask(run.to.destination.url, path, { method: 'GET' }), 404, 'session-not-found');
        },
      ),
    ));
});

/** A migration whose Perform fails: the QEMU of the destination dies on the way. */
async function failing(world: World, options: Parameters<typeof migrate>[1]): Promise<Run> {
  const run = migrate(world, { ...options, ...endless });
  await untilStreaming(run);
  const source = await world.qemuOn(run.from);
  for (const pid of processesOf(world.uuid)) if (pid !== source) process.kill(pid, 'SIGKILL');
  return run;
}

describe('a tunnel that cannot be set up', () => {
  it('S43: the relay of the source is dead: the target is torn down again', () =>
    inWorld(async (world) => {
      const { relay } = world.here;
      await relay.kill();
      const run = migrate(world, { mode: 'p2p-tunnelled' });
      expect(await run.driven).toBeNull();
      await untilSettled(run.from.sourceClient(), run.id);
      const destination = await untilSettled(run.to.destinationClient(), run.id);
      expect(destination, 'the target was prepared').toMatchObject({ outcome: 'aborted' });
      await relay.start();
      const { source } = await expectSettled(world, run, 'source');
      expect(source?.error).toMatchObject({ code: 'peer-unreachable', side: 'source', phase: 'perform' });
    }));
});

describe('S28: every step', () => {
  /** The lines of all apps of both hosts that tell of this migration, with the app that wrote them. */
  async function linesOf(world: World, id: string) {
    const logs = world.hosts.flatMap(({ apps }) => apps).map(({ logPath }) => readFile(logPath, 'utf8'));
    const lines = (await Promise.all(logs)).join('\n').split('\n');
    return lines
      .filter((line) => line.includes(`"migrationId":"${id}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it.each(['p2p-tunnelled', 'managed-direct'] as const)('%s: logs its arguments at its entry, and never a secret', (mode) =>
    inWorld(async (world) => {
      const run = migrate(world, { mode });
      await expectSettled(world, run, 'destination');
      const lines = await linesOf(world, run.id);
      const prepare = mode === 'p2p-tunnelled' ? 'prepare-tunnel' : 'prepare';
      for (const step of ['begin', prepare, 'perform', 'finish', 'confirm']) {
        const [line, more] = lines.filter(({ message }) => message === step);
        expect(more, `one line for ${step}`).toBeUndefined();
        expect(line?.flags, step).toMatch(/^0x[0-9a-f]+$/);
        if (step !== 'begin') {
          expect(line, step).toMatchObject({ nonce: expect.stringMatching(/^[0-9a-f]{32}$/) as string });
          expect(line?.cookieBytes, step).toBeGreaterThan(100);
        }
        if (step === 'finish' || step === 'confirm') expect(line).toMatchObject({ cancelled: false });
      }
      expect(lines.find(({ message }) => message === prepare)).toMatchObject({ xmlBytes: expect.any(Number) as number });
      expect(lines.find(({ message }) => message === 'begin')).toMatchObject({ domain: world.name, principal: 'local' });

      const outgoing = await keptOf(run.from, run.id, 'outgoing');
      const incoming = await keptOf(run.to, run.id, 'incoming');
      const offered = Buffer.from(incoming.prepareAnswer.cookie, 'base64').toString();
      const ticket = /ticket='([^']+)'/.exec(offered)?.[1] ?? '';
      const secrets = [outgoing.machine.permit, ticket, outgoing.begin.cookie, incoming.prepareAnswer.cookie];
      expect(secrets.every((secret) => secret.length >= 32)).toBe(true);
      for (const { logPath } of world.hosts.flatMap(({ apps }) => apps)) {
        const log = await readFile(logPath, 'utf8');
        expect(
          secrets.filter((secret) => log.includes(secret)),
          logPath,
        ).toEqual([]);
      }
    }),
  );
});
