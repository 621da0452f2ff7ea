import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { domainXmlOf } from '@vmferry/guest-image';
import { afterAll, describe, expect, it } from 'vitest';
import { type Answer, ask, expectProblem } from '../steps/ask.js';
import { expectUntouched } from '../steps/untouched.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();

/** A destination as no release of this project is: it stands for the other host, which is what is wrong in these cases. */
function peerThatSays(version: unknown) {
  const server = createServer((_req, res) => res.setHeader('content-type', 'application/json').end(JSON.stringify(version)));
  afterAll(() => void server.close());
  return new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

const stranger = {
  app: 'destination-agent',
  version: '0',
  features: [],
  hostName: 'far',
  hostUuid: 'u',
  storeId: '0'.repeat(32),
};

const migrate = (world: World, change: Record<string, unknown> = {}): Promise<Answer> =>
  ask(world.here.source.url, '/v1/migrations', {
    body: { domain: world.name, destination: world.there.destination.url, flags: ['LIVE'], ...change },
  });

type Case = readonly [
  what: string,
  status: number,
  code: string,
  (world: World) => Record<string, unknown> | Promise<Record<string, unknown>>,
];

const migrations: readonly Case[] = [
  ['an unknown domain', 404, 'domain-not-found', () => ({ domain: 'nobody' })],
  ['S46: the same host', 422, 'same-host', ({ here }) => ({ destination: here.destination.url })],
  [
    'S46: another host of the same name',
    422,
    'same-host',
    async ({ here }) => ({
      destination: await peerThatSays({ ...stranger, protocols: ['v3'], hostName: here.name.toUpperCase() }),
    }),
  ],
  [
    'S46: another host of the same uuid',
    422,
    'same-host',
    async ({ here }) => {
      const { hostUuid } = await here.sourceClient().version();
      return { destination: await peerThatSays({ ...stranger, protocols: ['v3'], hostUuid }) };
    },
  ],
  ['a destination that does not answer', 502, 'peer-unreachable', () => ({ destination: 'http://127.0.0.1:1' })],
  [
    'S42: a destination that speaks neither v3 nor v2',
    422,
    'peer-protocol',
    async () => ({ destination: await peerThatSays({ ...stranger, protocols: ['v1', 'v4'] }) }),
  ],
  ['a source-agent for a destination', 422, 'peer-protocol', ({ there }) => ({ destination: there.source.url })],
  ['a relay for a destination', 422, 'peer-protocol', ({ there }) => ({ destination: there.relay.url })],
  ['a destination that talks nonsense', 502, 'peer-nonsense', async () => ({ destination: await peerThatSays({ hello: 1 }) })],
  ['a destination that is no http URL', 422, 'invalid-argument', () => ({ destination: 'file:///etc/passwd' })],
  ['a destination with credentials', 422, 'invalid-argument', () => ({ destination: 'http://a:b@127.0.0.1:1' })],
  ['S6: an unknown flag', 422, 'flag-unknown', () => ({ flags: ['LIVE', 'FASTER'] })],
  ['S6: a flag of later', 422, 'flag-unsupported', () => ({ flags: ['POSTCOPY'] })],
  ['too many flags', 422, 'invalid-argument', () => ({ flags: Array.from({ length: 33 }, () => 'LIVE') })],
  ['an unknown field', 422, 'invalid-argument', () => ({ surprise: 1 })],
  ['a huge number', 422, 'invalid-argument', () => ({ bandwidthMibPerSec: 1e300 })],
  ['a negative number', 422, 'invalid-argument', () => ({ downtimeMsMax: -1 })],
  ['a fraction', 422, 'invalid-argument', () => ({ downtimeMsMax: 0.5 })],
  ['a number in letters', 422, 'invalid-argument', () => ({ downtimeMsMax: '10' })],
  ['an id that leaves its folder', 422, 'invalid-argument', () => ({ id: '../../x' })],
  ['a name that leaves its folder', 422, 'invalid-argument', () => ({ destinationName: '../x' })],
  ['XML that is not well-formed', 422, 'xml-malformed', () => ({ xml: '<domain><name>' })],
  ['XML with a DOCTYPE', 422, 'xml-forbidden', () => ({ xml: '<!DOCTYPE domain [<!ENTITY x "y">]><domain/>' })],
  ['XML over its limit', 413, 'xml-too-large', () => ({ xml: `<domain>${' '.repeat(1_048_576)}</domain>` })],
  [
    'S24: XML of another machine',
    422,
    'abi-mismatch',
    ({ uuid, name, diskPath, folder }) => ({
      xml: domainXmlOf({ name, uuid, diskPath, memoryKib: 8192, serial: { type: 'unix-connect', path: `${folder}/g/serial` } }),
    }),
  ],
  [
    'XML of another name',
    422,
    'invalid-argument',
    ({ uuid, diskPath, folder }) => ({
      xml: domainXmlOf({ name: 'other', uuid, diskPath, serial: { type: 'unix-connect', path: `${folder}/g/serial` } }),
    }),
  ],
];

describe('a migration is refused before anything happens', () => {
  it.each(migrations)('%s', (_what, status, code, change) =>
    inWorld(async (world) => {
      const wrong = await change(world);
      await expectUntouched(world, async () => expectProblem(await migrate(world, wrong), status, code));
    }),
  );

  it('S46: the same host is refused at once', () =>
    inWorld(async (world) => {
      const startedMs = performance.now();
      expectProblem(await migrate(world, { destination: world.here.destination.url }), 422, 'same-host');
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }));

  it('a domain that is shut off', () =>
    inWorld(async (world) => {
      const xml = domainXmlOf({
        name: 'off',
        uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
        diskPath: world.diskPath,
        serial: { type: 'file', path: '/dev/null' },
      });
      await world.here.sourceClient().createDomain({ xml });
      try {
        await expectUntouched(world, async () =>
          expectProblem(await migrate(world, { domain: 'off' }), 409, 'domain-not-running'),
        );
      } finally {
        await world.here.sourceClient().undefineDomain('off');
      }
    }));
});

describe('what is no request of this API', () => {
  const deep = '['.repeat(200_000) + ']'.repeat(200_000);
  it.each([
    ['no JSON', 400, 'malformed-request', { text: '{"domain": ' }],
    ['JSON of no object', 422, 'invalid-argument', { text: '[]' }],
    ['deep JSON', 400, 'malformed-request', { text: deep }],
    ['deep JSON in a field', 400, 'malformed-request', { text: `{"domain":"guest","destination":"http://h","flags":${deep}}` }],
    ['a key __proto__', 400, 'malformed-request', { text: '{"__proto__":{"domain":"guest"},"destination":"http://h"}' }],
    [
      'a key constructor',
      400,
      'malformed-request',
      { text: '{"constructor":{"prototype":{}},"domain":"guest","destination":"http://h"}' },
    ],
    [
      'a number over what a double holds',
      422,
      'invalid-argument',
      { text: '{"domain":"guest","destination":"http://127.0.0.1:1","downtimeMsMax":1e999}' },
    ],
    [
      'another content type',
      415,
      'unsupported-media-type',
      { text: 'domain=guest', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    ],
    ['a body over its limit', 413, 'body-too-large', { text: `{"xml":"${'x'.repeat(4_200_000)}"}` }],
    ['another method', 405, 'method-not-allowed', { method: 'PUT' as const, body: {} }],
  ])('%s', (_what, status, code, question) =>
    inWorld(async (world) => {
      await expectUntouched(world, async () =>
        expectProblem(await ask(world.here.source.url, '/v1/migrations', question), status, code),
      );
      expect(({} as Record<string, unknown>).domain).toBeUndefined();
    }),
  );

  it.each([
    ['GET', '/v1/nothing', 404, 'not-found'],
    ['GET', '/v1/migrations/none', 404, 'migration-not-found'],
    ['GET', '/v1/migrations/none/events', 404, 'migration-not-found'],
    ['POST', '/v1/migrations/none/cancel', 404, 'migration-not-found'],
    ['DELETE', '/v1/migrations/none', 404, 'migration-not-found'],
    ['GET', '/v1/migrations/a%2Fb', 422, 'invalid-argument'],
    ['GET', '/v1/migrations/%ff', 400, 'malformed-request'],
    ['GET', '/v1/migrations?limit=-1', 422, 'invalid-argument'],
    ['GET', '/v1/migrations?limit=1e9', 422, 'invalid-argument'],
    ['GET', '/v1/migrations?state=GONE', 422, 'invalid-argument'],
    ['GET', '/v1/migrations?__proto__=1', 422, 'invalid-argument'],
    ['GET', '/v1/domains/none', 404, 'domain-not-found'],
    ['POST', '/v1/domains/none/start', 404, 'domain-not-found'],
    ['DELETE', '/v1/domains/none', 404, 'domain-not-found'],
    ['DELETE', '/v1/sessions/6ba7b810-9dad-11d1-80b4-00c04fd430c8', 404, 'session-not-found'],
    ['GET', '/problems/none', 404, 'not-found'],
  ] as const)('%s %s', (method, path, status, code) =>
    inWorld((world) =>
      expectUntouched(world, async () => expectProblem(await ask(world.here.source.url, path, { method }), status, code)),
    ),
  );
});

describe('a definition is refused before anything happens', () => {
  it.each([
    ['not well-formed', 422, 'xml-malformed', '<domain'],
    ['a DOCTYPE', 422, 'xml-forbidden', '<!DOCTYPE d><domain/>'],
    [
      'an external entity',
      422,
      'xml-forbidden',
      '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain><name>&x;</name></domain>',
    ],
    ['over its limit', 413, 'xml-too-large', `<domain>${'x'.repeat(1_048_577)}</domain>`],
    ['too deep', 413, 'xml-too-large', `${'<a>'.repeat(5_000)}${'</a>'.repeat(5_000)}`],
    ['no domain', 422, 'definition-invalid', '<network/>'],
    ['without a name', 422, 'definition-invalid', "<domain type='qemu'/>"],
    ['of another hypervisor', 422, 'domain-type-unexpected', "<domain type='lxc'><name>x</name></domain>"],
  ])('%s', (_what, status, code, xml) =>
    inWorld((world) =>
      expectUntouched(world, async () =>
        expectProblem(await ask(world.here.source.url, '/v1/domains', { body: { xml } }), status, code),
      ),
    ),
  );

  it('the name or the uuid of another domain', () =>
    inWorld(async (world) => {
      const { name, uuid, diskPath } = world;
      const other = { diskPath, serial: { type: 'file', path: '/dev/null' } } as const;
      await expectUntouched(world, async () => {
        for (const xml of [
          domainXmlOf({ ...other, name, uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8' }),
          domainXmlOf({ ...other, name: 'x', uuid }),
        ]) {
          expectProblem(await ask(world.here.source.url, '/v1/domains', { body: { xml } }), 409, 'domain-exists');
        }
      });
    }));
});
