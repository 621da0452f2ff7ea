import { beginRequest, confirmRequest, perform2Request, performRequest } from '@vmferry/api';
import request from 'supertest';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const canary = 'CANARY-in-a-cookie';
const cookie = Buffer.from(`<qemu-migration><ticket>${canary}</ticket></qemu-migration>`).toString('base64');
/** A value for each argument that a step of the source takes; one that is new has none here, and its test fails. */
const given: Record<string, unknown> = {
  nonce: '0'.repeat(32),
  domain: 'none',
  cookie,
  xml: `<domain><!-- ${canary} --></domain>`,
  flags: ['LIVE', 'PERSIST_DEST'],
  uri: 'http://127.0.0.1:7803/v1/streams/6ba7b810-9dad-11d1-80b4-00c04fd430c8/attach',
  destinationName: 'other',
  bandwidthMibPerSec: 7,
  downtimeMsMax: 11,
  timeouts: { totalSeconds: 13 },
  parallelConnections: 3,
  session: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
  cancelled: false,
};
const lengths = { cookie: 'cookieBytes', xml: 'xmlBytes' } as const;

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

it.each([
  ['begin', 'begin', beginRequest],
  ['perform', 'perform', performRequest],
  ['perform2', 'perform', perform2Request],
  ['confirm', 'confirm', confirmRequest],
] as const)(
  'S28: %s logs each of its arguments at its entry, though it is refused: flags in hex, secrets by their length',
  async (step, message, schema) => {
    const body = Object.fromEntries(Object.keys(schema.shape).map((key) => [key, given[key]]));
    expect(Object.values(body)).not.toContain(undefined);
    const res = await request(agent.url).post(`/v1/migrations/m-${step}/${step}`).send(body);
    expect(res.status).toBeGreaterThanOrEqual(400);
    const lines = agent.logged.map((line) => JSON.parse(line)).filter((line) => line.migrationId === `m-${step}`);
    expect(lines.map((line) => line.message)).toEqual([message]);
    for (const key of Object.keys(body)) {
      if (key === 'flags') expect(lines[0].flags).toBe('0x9');
      else if (key in lengths) expect(lines[0][lengths[key as keyof typeof lengths]]).toBeGreaterThan(20);
      else expect(lines[0][key]).toEqual(given[key]);
    }
    expect(agent.logged.join('')).not.toContain(canary);
    expect(agent.logged.join('')).not.toContain(cookie);
  },
);
