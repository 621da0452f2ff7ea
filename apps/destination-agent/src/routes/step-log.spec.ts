import { bindRequest, finish2Request, finishRequest, prepare2Request, prepareRequest } from '@vmferry/api';
import request from 'supertest';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const canary = 'CANARY-in-a-cookie';
const cookie = Buffer.from(`<qemu-migration><permit>${canary}</permit></qemu-migration>`).toString('base64');
/** A value for each argument that a step of the destination takes; one that is new has none here, and its test fails. */
const given: Record<string, unknown> = {
  nonce: '0'.repeat(32),
  storeId: '0'.repeat(32),
  cookie,
  xml: `<domain><!-- ${canary} --></domain>`,
  flags: ['LIVE', 'PERSIST_DEST'],
  uri: 'http://127.0.0.1:7802',
  listenAddress: '127.0.0.1',
  destinationName: 'other',
  bandwidthMibPerSec: 7,
  parallelConnections: 3,
  session: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
  cancelled: false,
  paused: false,
};
const lengths = { cookie: 'cookieBytes', xml: 'xmlBytes' } as const;

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

it.each([
  ['prepare', 'prepare', prepareRequest, {}],
  ['prepare-tunnel', 'prepare-tunnel', prepareRequest, {}],
  ['prepare2', 'prepare', prepare2Request, { cookie: null }],
  ['prepare-tunnel2', 'prepare-tunnel', prepare2Request, { cookie: null }],
  ['finish', 'finish', finishRequest, {}],
  ['finish2', 'finish', finish2Request, {}],
  ['bind', 'bind', bindRequest, {}],
] as const)(
  'S28: %s logs each of its arguments at its entry, though it is refused: flags in hex, secrets by their length',
  async (step, message, schema, own) => {
    const body = { ...Object.fromEntries(Object.keys(schema.shape).map((key) => [key, given[key]])), ...own };
    expect(Object.values(body)).not.toContain(undefined);
    await request(agent.url).post(`/v1/migrations/m-${step}/${step}`).send(body);
    const lines = agent.logged.map((line) => JSON.parse(line)).filter((line) => line.migrationId === `m-${step}`);
    expect(lines[0].message).toBe(message);
    for (const [key, value] of Object.entries(body)) {
      if (key === 'flags') expect(lines[0].flags).toBe('0x9');
      else if (value === null) expect(lines[0]).not.toHaveProperty('cookieBytes');
      else if (key in lengths) expect(lines[0][lengths[key as keyof typeof lengths]]).toBeGreaterThan(20);
      else expect(lines[0][key]).toEqual(value);
    }
    expect(agent.logged.join('')).not.toContain(canary);
    expect(agent.logged.join('')).not.toContain(cookie);
  },
);
