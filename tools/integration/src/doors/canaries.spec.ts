import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { DestinationAgentClient, ManagedMigration, openStream } from '@vmferry/client';
import { bootSectorGuest, domainXmlOf, listenForTicks } from '@vmferry/guest-image';
import { Host, processesOf, quickTimers } from '@vmferry/lab';
import { systemClock, systemRandom } from '@vmferry/seams';
import { TestAuthority } from '@vmferry/tls/testing';
import { expect, it, onTestFinished } from 'vitest';
import { expectAuditComplete } from '../checks/audit-complete.js';
import { untilSettled } from '../checks/resources.js';
import { ask } from '../steps/ask.js';
import { eventually } from '../world/eventually.js';
import { credentialsIn } from './guarded-host.js';

const tickDeadlineMs = 20_000;
/** As short as a password: what cites a few characters of what it was given cites all of it. */
const canary = () => `Zq${systemRandom.hex(4)}`;

/** Nobody may find it anywhere but in those files of a host; `answers`: nor in what an app answers to a question. */
interface Secret {
  readonly what: string;
  readonly text: string;
  readonly kept?: RegExp;
  readonly answers?: false;
}

/** Two hosts that ask for tokens, with TLS between their relays, and a guest of the first. */
async function openGuarded() {
  const folder = await mkdtemp(join(tmpdir(), 'vfc-'));
  await chmod(folder, 0o711);
  for (const name of ['a', 'b', 'g']) await mkdir(join(folder, name), { mode: 0o711 });
  const authority = new TestAuthority();
  const credentials = await credentialsIn(folder);
  const tls = authority.issue(['relay', 'agent']);
  const known: string[] = [];
  const host = (name: 'a' | 'b') =>
    new Host({
      name: `host-${name}`,
      folder: join(folder, name),
      timers: quickTimers,
      credentials,
      certificates: { relay: tls, agents: tls },
      peers: () => known,
    });
  const [a, b] = [host('a'), host('b')];
  const [uuid, name, serialPath] = [randomUUID(), 'guest', join(folder, 'g', 'serial')];
  const ticks = await listenForTicks(serialPath);
  onTestFinished(async () => {
    await Promise.all([a.kill(), b.kill()]);
    for (const pid of processesOf(uuid)) process.kill(pid, 'SIGKILL');
    await eventually(() => expect(processesOf(uuid)).toEqual([]));
    await ticks.close();
    authority.remove();
    await rm(folder, { recursive: true });
  });
  for (const each of [a, b]) await each.start();
  // Their addresses are known now, and are kept over their lives.
  known.push(...[a, b].flatMap(({ source, destination }) => [source.url, destination.url]));
  for (const app of [a.source, a.destination, b.source, b.destination]) {
    await app.stop();
    await app.start();
  }
  const diskPath = await (await bootSectorGuest({ writable: true })).copyFor(join(folder, 'g'));
  const xml = domainXmlOf({ name, uuid, diskPath, serial: { type: 'unix-connect', path: serialPath } });
  await a.sourceClient().createDomain({ xml });
  await a.sourceClient().start(name);
  await ticks.waitForTick(() => ticks.ticks.length >= 5, tickDeadlineMs);
  const keyLines = readFileSync(tls.key, 'utf8')
    .split('\n')
    .filter((line) => line.length > 40);
  return { folder, a, b, uuid, name, xml, credentials, keyLines };
}

type Guarded = Awaited<ReturnType<typeof openGuarded>>;

/** Brings a canary through every door by which a secret, or a slip of whoever has one, comes in. */
async function plant({ a, b, name, xml, credentials }: Guarded): Promise<Secret[]> {
  const headers = { authorization: `Bearer ${credentials.token}` };
  const secrets: Secret[] = [];
  const secret = (what: string, rest: Omit<Secret, 'what' | 'text'> = {}) => {
    secrets.push({ what, text: canary(), ...rest });
    return secrets.at(-1)?.text ?? '';
  };
  for (const app of [a.source, a.destination, b.source, b.destination]) {
    await ask(app.url, '/v1/sessions', { headers: { authorization: `Bearer ${secret('wrong-token')}` }, body: {} });
    await ask(app.url, '/v1/sessions', { headers: { authorization: `Basic ${secret('basic-password')}` }, body: {} });
    await ask(app.url, `/version?token=${secret('query')}`, { method: 'GET' });
    await ask(app.url, `/metrics?token=${secret('query-of-route')}`, { method: 'GET', headers });
    const slips =
      app.name === 'tunnel-relay' ? ['/v1/streams'] : ['/v1/sessions', '/v1/migrations/m1/check', '/v1/migrations/check'];
    for (const path of slips) {
      await ask(app.url, path, { headers, text: `{"password": ${secret('broken-json')}}` });
      await ask(app.url, path, { headers, text: `{"password": "${secret('cut-json')}` });
      await ask(app.url, path, { headers, body: { password: secret('unknown-field'), nested: { token: secret('nested') } } });
      await ask(app.url, path, { headers: { ...headers, cookie: secret('cookie-header') }, body: {} });
    }
  }
  const cookie = Buffer.from(`<qemu-migration><ticket>${secret('cookie')}</ticket>`).toString('base64');
  secrets.push({ what: 'cookie in base64', text: cookie });
  const nonce = '0'.repeat(32);
  for (const [url, step, body] of [
    [a.source.url, 'perform', {}],
    [a.source.url, 'perform2', { domain: name }],
    [a.source.url, 'confirm', { cancelled: true }],
    [b.destination.url, 'prepare', { xml }],
    [b.destination.url, 'finish', { cancelled: true }],
  ] as const)
    await ask(url, `/v1/migrations/m1/${step}`, { headers, body: { nonce, cookie, ...body } });
  for (const field of ['destination', 'uri'] as const) {
    const body = {
      domain: name,
      destination: b.destination.url,
      [field]: `http://user:${secret(`password-in-${field}`)}@127.0.0.1:1`,
    };
    for (const path of ['/v1/migrations', '/v1/migrations/check']) await ask(a.source.url, path, { headers, body });
  }
  const peer = { url: `https://127.0.0.1:1/v1/streams/${randomUUID()}/attach`, ticket: secret('ticket-in-body').padEnd(64, '0') };
  await a
    .relayClient()
    .createStream({ role: 'source', migrationId: 'm1', peer })
    .catch(() => null);
  await openStream({
    url: `${b.destination.url}/v1/migrations/m1/stream`,
    ticket: secret('ticket-in-header'),
    migrationId: 'm1',
    deadlineMs: 5_000,
  }).catch(() => null);
  const monitor = (execute: string, args: object) =>
    ask(a.source.url, `/v1/domains/${name}/monitor`, { headers, body: { execute, arguments: args } });
  await monitor('set_password', { protocol: 'vnc', password: secret('vnc-password') });
  await monitor('set_password', { protocol: 'spice', password: secret('spice-password'), connected: 'keep' });
  await monitor('human-monitor-command', { 'command-line': `set_password vnc ${secret('password-by-hmp')}` });
  // Definitions keep what their owner wrote; the screens' own suite tells who may read it there.
  const screen = `<devices><graphics type='vnc' port='-1' passwd='${secret('passwd', { kept: /^state\/domains\//, answers: false })}'/>`;
  const other = xml
    .replace(/<name>.*?<\/name>/, '<name>screen</name>')
    .replace(/<uuid>.*?<\/uuid>/, `<uuid>${randomUUID()}</uuid>`);
  await ask(a.source.url, '/v1/domains', { headers, body: { xml: other.replace('<devices>', screen) } });
  await ask(a.source.url, '/v1/domains/screen/start', { headers, body: {} });
  return secrets;
}

/** There and back, once in each way; what the steps hand on is read in the journals, which alone keep it. */
async function migrateBothWays({ a, b, name, credentials }: Guarded): Promise<Secret[]> {
  const there = randomUUID();
  await a.sourceClient().migrate({ id: there, domain: name, destination: b.destination.url, flags: ['LIVE', 'TUNNELLED'] });
  expect(await untilSettled(a.sourceClient(), there)).toMatchObject({ state: 'SUCCEEDED' });
  const back = randomUUID();
  const destination = new DestinationAgentClient(a.destination.url, { token: credentials.token });
  const ends = { source: b.sourceClient(), destination, clock: systemClock, sessionTtlSeconds: 2 };
  await new ManagedMigration({ ...ends, request: { id: back, domain: name, flags: ['LIVE'] } }).run();
  expect(await untilSettled(b.sourceClient(), back)).toMatchObject({ state: 'SUCCEEDED' });
  const kept = /^state\/migrations\//;
  return [a, b].flatMap(({ stateDir }) =>
    readdirSync(join(stateDir, 'migrations')).flatMap((file) => {
      const text = readFileSync(join(stateDir, 'migrations', file), 'utf8');
      const cookies = [...text.matchAll(/"cookie": ?"([A-Za-z0-9+/=]{64,})"/g)].map(([, cookie = '']) => cookie);
      const inside = cookies.map((cookie) => Buffer.from(cookie, 'base64').toString());
      const tickets = inside.flatMap((cookie) =>
        [...cookie.matchAll(/(?:ticket|permit)='([^']{32,})'/g)].map(([, word = '']) => word),
      );
      const permits = [...text.matchAll(/"permit": ?"([^"]{32,})"/g)].map(([, permit = '']) => permit);
      return [...cookies, ...tickets, ...permits].map((word) => ({ what: `what ${file} keeps`, text: word, kept }));
    }),
  );
}

/** All that is on the disks of both hosts but the keys and tokens that they were given. */
function filesOf({ a, b }: Guarded): { readonly path: string; readonly text: string }[] {
  return [a, b].flatMap(({ stateDir }) => {
    const folder = dirname(stateDir);
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(folder, path), text: readFileSync(path, 'latin1') };
    });
  });
}

/** What every user of the machine can read of a command line, and root of an environment. */
function processesWith({ a, b, uuid }: Guarded): { readonly path: string; readonly text: string }[] {
  const pids = [...[...a.apps, ...b.apps].map(({ pid }) => pid), ...processesOf(uuid)];
  expect(pids.length).toBe(7);
  return pids.flatMap((pid) =>
    ['cmdline', 'environ'].map((file) => ({
      path: `/proc/${pid}/${file}`,
      text: readFileSync(`/proc/${pid}/${file}`, 'latin1'),
    })),
  );
}

/** What the agents answer to whoever may ask all. */
async function answersOf({ a, b, name, credentials }: Guarded): Promise<{ readonly path: string; readonly text: string }[]> {
  const headers = { authorization: `Bearer ${credentials.token}` };
  const answers: { path: string; text: string }[] = [];
  for (const { url } of [a.source, a.destination, b.source, b.destination]) {
    const migrations = (await ask(url, '/v1/migrations', { method: 'GET', headers })).body.migrations as { id: string }[];
    const { paths } = (await ask(url, '/openapi.json', { method: 'GET' })).body as { paths: Record<string, { get?: object }> };
    for (const path of Object.keys(paths).filter((each) => paths[each]?.get !== undefined && !each.endsWith('/events'))) {
      for (const { id } of path.includes('{id}') ? migrations : [{ id: '' }]) {
        const at = path.replace('{id}', id).replace('{domain}', name).replace('{code}', 'internal');
        const { body } = await ask(url, at, { method: 'GET', headers });
        answers.push({ path: `${url}${at}`, text: JSON.stringify(body) });
      }
    }
  }
  expect(answers.length).toBeGreaterThan(40);
  return answers;
}

it('S28: threat 10: a secret comes into no log, audit, event, state, answer, command line or environment', async () => {
  const guarded = await openGuarded();
  const { a, b, credentials, keyLines } = guarded;
  const planted = await plant(guarded);
  const handedOn = await migrateBothWays(guarded);
  expect(planted.length).toBeGreaterThan(50);
  expect(handedOn.length).toBeGreaterThan(6);
  expect(keyLines.length).toBeGreaterThan(1);
  const secrets: Secret[] = [
    ...planted,
    ...handedOn,
    { what: 'the token of the operator', text: credentials.token },
    { what: 'the token of the peers', text: credentials.peerToken },
    ...keyLines.map((text) => ({ what: 'the key of the relays', text })),
  ];
  const places = [...filesOf(guarded), ...processesWith(guarded)];
  expect(places.filter(({ path }) => path.endsWith('.log')).length).toBeGreaterThanOrEqual(6);
  const found = (at: readonly { readonly path: string; readonly text: string }[], of: readonly Secret[]) =>
    at.flatMap(({ path, text }) =>
      of
        .filter((secret) => text.includes(secret.text) && secret.kept?.test(path) !== true)
        .map(({ what, text: word }) => `${what} in ${path}: ${lineWith(text, word)}`),
    );
  expect(found(places, secrets)).toEqual([]);
  expect(
    found(
      await answersOf(guarded),
      secrets.filter(({ answers }) => answers !== false),
    ),
  ).toEqual([]);
  await expectAuditComplete([a.stateDir, b.stateDir]);
});

function lineWith(text: string, word: string): string {
  return (
    text
      .split(/[\n\0]/)
      .find((line) => line.includes(word))
      ?.slice(0, 300) ?? ''
  );
}
