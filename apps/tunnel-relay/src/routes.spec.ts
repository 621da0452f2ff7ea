import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { streamProtocol } from '@vmferry/api';
import { openStream } from '@vmferry/client';
import { noFaults, systemClock, systemRandom } from '@vmferry/seams';
import { createLogger, describeRoutes, loadAuthenticator } from '@vmferry/service';
import request from 'supertest';
import { afterEach, describe, expect, it } from 'vitest';
import { createRelay, type Relay, type RelayOptions } from './relay.js';
import { streamRoutes, streamUpgrades } from './routes.js';

const unknown = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const started: { relay: Relay; folder: string }[] = [];

afterEach(async () => {
  for (const { relay, folder } of started.splice(0)) {
    await relay.streams.drain(0, new AbortController().signal);
    await relay.service.drain();
    expect(readdirSync(join(folder, 'run/streams'))).toEqual([]);
    rmSync(folder, { recursive: true });
  }
});

const log = createLogger({ app: 'tunnel-relay', level: 'error', hostName: 'h' });

async function relayAt(
  timers: Partial<RelayOptions['timers']> = {},
  faults: RelayOptions['faults'] = noFaults,
  options: Partial<RelayOptions> = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'vf-relay-'));
  const relay = createRelay({
    host: { hostName: 'h', hostUuid: unknown, storeId: '0'.repeat(32) },
    version: '0',
    runtimeDir: join(folder, 'run'),
    publicUrl: undefined,
    timers: { attachMs: 60_000, silenceMs: 0, ...timers },
    bandwidthMibPerSec: 0,
    authenticator: loadAuthenticator(undefined),
    // What it is told is seen by the suite that asks all apps (tools/integration).
    auditor: { api: () => Promise.resolve() },
    holdsState: () => true,
    clock: systemClock,
    random: systemRandom,
    faults,
    tls: null,
    log,
    ...options,
  });
  started.push({ relay, folder });
  const { url } = await relay.listen({ host: '127.0.0.1', port: 0 });
  return { relay, url, folder };
}

async function destination(url: string, body: object = {}) {
  const res = await request(url)
    .post('/v1/streams')
    .send({ role: 'destination', migrationId: 'm1', ...body });
  expect(res.status).toBe(201);
  return res.body as { id: string; ticket: string; attachUrl: string; localSocket: string };
}

const source = (url: string, peer: { attachUrl: string; ticket: string }, migrationId = 'm1', body: object = {}) =>
  request(url)
    .post('/v1/streams')
    .send({ role: 'source', migrationId, peer: { url: peer.attachUrl, ticket: peer.ticket }, ...body });

async function connected(path: string): Promise<net.Socket> {
  const socket = net.connect({ path, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** The stream once its state is one of those; it changes by events of the kernel, of which a client only sees the result. */
async function stateOf(url: string, id: string, ...states: string[]) {
  for (;;) {
    const { body } = await request(url).get(`/v1/streams/${id}`);
    if (states.includes(body.state)) return body;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the routes', () => {
  it('are these', () => {
    const none = { list: () => [] } as unknown as Parameters<typeof streamRoutes>[0]; // only asked for its routes
    expect(
      describeRoutes(
        streamRoutes(none, () => ''),
        streamUpgrades(none),
      ),
    ).toMatchInlineSnapshot(`
      "DELETE /v1/streams/:id [relay] -> 204; certificate-refused, stream-not-found
      GET /v1/streams [relay] -> 200; certificate-refused
      GET /v1/streams/:id [relay] -> 200; certificate-refused, stream-not-found
      PATCH /v1/streams/:id [relay] -> 200; certificate-refused, stream-not-found, stream-over
      POST /v1/streams [relay] -> 201; certificate-refused, peer-nonsense, peer-unreachable, stream-failed, stream-not-found, ticket-invalid, too-many-requests
      UPGRADE /v1/streams/:id/attach [ticket] -> 101 vmferry-stream-1; certificate-refused, stream-not-found, ticket-invalid"
    `);
  });

  it('POST a destination: the ticket is shown once, the socket is in a folder of mode 0700', async () => {
    const { url, folder } = await relayAt();
    const res = await request(url).post('/v1/streams').send({ role: 'destination', migrationId: 'm1' });
    expect(res.body).toMatchObject({
      role: 'destination',
      state: 'waiting',
      attachUrl: `${url}/v1/streams/${res.body.id}/attach`,
      closedAt: null,
    });
    expect(res.headers.location).toBe(`/v1/streams/${res.body.id}`);
    expect(statSync(join(folder, 'run/streams')).mode & 0o777).toBe(0o700);
    expect(statSync(res.body.localSocket).isSocket()).toBe(true);
    const read = await request(url).get(res.headers.location ?? '');
    const { channels, ...stream } = res.body;
    expect(channels).toEqual([]);
    expect(read.body).toEqual({ ...stream, ticket: null });
    expect((await request(url).get('/v1/streams')).body.streams).toEqual([read.body]);
    expect(read.text).not.toContain(res.body.ticket);
  });

  it.each([
    [{ role: 'destination' }],
    [{ role: 'destination', migrationId: '../x' }],
    [{ role: 'destination', migrationId: 'm', expiresSeconds: 0 }],
    [{ role: 'destination', migrationId: 'm', peer: {} }],
    [{ role: 'source', migrationId: 'm', peer: { url: 'file:///etc/passwd', ticket: 'x'.repeat(40) } }],
    [{ role: 'source', migrationId: 'm', peer: { url: 'http://127.0.0.1:1/', ticket: 'short' } }],
    [{ role: 'other', migrationId: 'm' }],
    [{ role: 'destination', migrationId: 'm', bandwidthMibPerSec: 0 }],
    [{ role: 'destination', migrationId: 'm', bandwidthMibPerSec: 1.5 }],
    [{ role: 'destination', migrationId: 'm', bandwidthMibPerSec: null }],
    [{ role: 'destination', migrationId: 'm', bandwidthMibPerSec: 1_048_577 }],
  ])('POST %o is refused', async (body) => {
    const { url } = await relayAt();
    const res = await request(url).post('/v1/streams').send(body);
    expect([res.status, res.body.code]).toEqual([422, 'invalid-argument']);
    expect((await request(url).get('/v1/streams')).body.streams).toEqual([]);
  });

  it('GET and DELETE of what is not there', async () => {
    const { url } = await relayAt();
    for (const res of [await request(url).get(`/v1/streams/${unknown}`), await request(url).delete(`/v1/streams/${unknown}`)]) {
      expect([res.status, res.body.code]).toEqual([404, 'stream-not-found']);
    }
    expect((await request(url).get('/v1/streams/x')).status).toBe(422);
  });

  it('DELETE fails an open stream, unlinks its socket, and may be repeated; the stream stays listed', async () => {
    const { url } = await relayAt();
    const { id, localSocket } = await destination(url);
    expect((await request(url).delete(`/v1/streams/${id}`)).status).toBe(204);
    expect((await request(url).delete(`/v1/streams/${id}`)).status).toBe(204);
    expect((await request(url).get(`/v1/streams/${id}`)).body).toMatchObject({
      state: 'failed',
      reason: 'it was ended by a DELETE of local',
      localSocket: null,
    });
    await expect(connected(localSocket)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('more than 64 open streams are refused, and a place is free again after one has ended', async () => {
    const { url } = await relayAt();
    const all = await Promise.all(
      Array.from({ length: 70 }, () => request(url).post('/v1/streams').send({ role: 'destination', migrationId: 'm1' })),
    );
    const made = all.filter(({ status }) => status === 201);
    expect([made.length, all.filter(({ status }) => status === 429).length]).toEqual([64, 6]);
    await request(url).delete(`/v1/streams/${made[0]?.body.id}`);
    await destination(url);
  });
});

describe('a bandwidth', () => {
  it('is given at the creation, changed by PATCH, lifted with null, and refused once the stream is over', async () => {
    const { url } = await relayAt();
    const { id } = await destination(url, { bandwidthMibPerSec: 7 });
    const patch = (body: object) => request(url).patch(`/v1/streams/${id}`).send(body);
    expect((await request(url).get(`/v1/streams/${id}`)).body.bandwidthMibPerSec).toBe(7);
    for (const bandwidthMibPerSec of [9, null]) {
      const res = await patch({ bandwidthMibPerSec });
      expect([res.status, res.body]).toEqual([200, (await request(url).get(`/v1/streams/${id}`)).body]);
      expect(res.body.bandwidthMibPerSec).toBe(bandwidthMibPerSec);
    }
    for (const body of [{}, { bandwidthMibPerSec: 0 }, { bandwidthMibPerSec: 'fast' }, { bandwidthMibPerSec: 1, role: 'source' }])
      expect((await patch(body)).status).toBe(422);
    await request(url).delete(`/v1/streams/${id}`);
    const late = await patch({ bandwidthMibPerSec: 1 });
    expect([late.status, late.body.code]).toEqual([409, 'stream-over']);
    expect((await request(url).patch(`/v1/streams/${unknown}`).send({ bandwidthMibPerSec: 1 })).body.code).toBe(
      'stream-not-found',
    );
  });

  it.each(['the stream', 'the relay'])(
    'of %s holds back what streams, and is lifted while it streams where it can be',
    async (whose) => {
      const b = await relayAt();
      const a = await relayAt({}, noFaults, { bandwidthMibPerSec: whose === 'the relay' ? 32 : 0 });
      const stream = await destination(b.url);
      const made = await source(a.url, stream, 'm1', whose === 'the stream' ? { bandwidthMibPerSec: 1 } : {});
      const [qemuA, qemuB] = [await connected(made.body.localSocket), await connected(stream.localSocket)];
      const start = performance.now();
      qemuA.end(Buffer.alloc(16 * 1_048_576));
      qemuB.resume();
      const ended = once(qemuB, 'end');
      if (whose === 'the stream') {
        await once(qemuB, 'data');
        expect((await stateOf(a.url, made.body.id, 'streaming')).bytesToPeer).toBeLessThan(8 * 1_048_576);
        // 16 s by its own rate.
        await request(a.url).patch(`/v1/streams/${made.body.id}`).send({ bandwidthMibPerSec: null });
        await ended;
        expect(performance.now() - start).toBeLessThan(10_000);
      } else {
        await ended;
        expect(performance.now() - start).toBeGreaterThan(450);
      }
      qemuB.end();
      await stateOf(a.url, made.body.id, 'closed');
    },
  );
});

describe('attaching', () => {
  it('a wrong ticket, one of another migration, one that was used, an unknown stream: each refused, the stream unharmed', async () => {
    const { url } = await relayAt();
    const stream = await destination(url);
    const attach = (o: { ticket?: string; migrationId?: string; url?: string }) =>
      openStream({ url: stream.attachUrl, ticket: stream.ticket, migrationId: 'm1', deadlineMs: 5_000, ...o });
    await expect(attach({ ticket: 'x'.repeat(64) })).rejects.toMatchObject({ code: 'ticket-invalid' });
    await expect(attach({ migrationId: 'm2' })).rejects.toMatchObject({ code: 'ticket-invalid' });
    await expect(attach({ url: stream.attachUrl.replace(stream.id, unknown) })).rejects.toMatchObject({
      code: 'stream-not-found',
    });
    expect((await stateOf(url, stream.id, 'waiting')).state).toBe('waiting');
    const { socket } = await attach({});
    await stateOf(url, stream.id, 'attached');
    await expect(attach({})).rejects.toMatchObject({ code: 'ticket-invalid' });
    socket.destroy();
  });

  it('a plain GET is told to upgrade', async () => {
    const { url } = await relayAt();
    const { id } = await destination(url);
    const res = await request(url).get(`/v1/streams/${id}/attach`);
    expect([res.status, res.headers.upgrade]).toEqual([400, streamProtocol]);
  });

  it('a ticket expires, and its stream with it', async () => {
    const { url } = await relayAt();
    const stream = await destination(url, { expiresSeconds: 1 });
    expect(await stateOf(url, stream.id, 'failed')).toMatchObject({ reason: 'no peer attached within 1000 ms' });
    const late = openStream({ url: stream.attachUrl, ticket: stream.ticket, migrationId: 'm1', deadlineMs: 5_000 });
    await expect(late).rejects.toMatchObject({ code: 'ticket-invalid' });
  });

  it('a stream tells how it sends to its peer: as the host has chosen, but a source that would pace does not to a near one', async () => {
    const chosen = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
    const [a, b] = [await relayAt(), await relayAt()];
    const stream = await destination(b.url);
    expect((await stateOf(b.url, stream.id, 'waiting')).congestionControl).toBe(null);
    const made = await source(a.url, stream);
    expect(made.body.congestionControl).toBe(chosen.startsWith('bbr') ? 'reno' : chosen);
    expect((await stateOf(b.url, stream.id, 'attached')).congestionControl).toBe(chosen);
  });

  it('a source answers 201 when its peer accepted, and else with the reason, leaving nothing behind', async () => {
    const b = await relayAt();
    const a = await relayAt();
    const stream = await destination(b.url);
    const wrong = await source(a.url, stream, 'm2');
    expect([wrong.status, wrong.body.code]).toEqual([403, 'ticket-invalid']);
    const nowhere = await source(a.url, { ...stream, attachUrl: 'http://127.0.0.1:1/v1/x' });
    expect([nowhere.status, nowhere.body.code]).toEqual([502, 'peer-unreachable']);
    expect((await request(a.url).get('/v1/streams')).body.streams).toEqual([]);
    const right = await source(a.url, stream);
    expect([right.status, right.body.state, right.body.attachUrl, right.body.ticket]).toEqual([201, 'attached', null, null]);
    await stateOf(b.url, stream.id, 'attached');
  });

  it('a source whose peer takes the connection and says nothing is refused after 10 s, and leaves nothing behind', async () => {
    let giveUp = () => {};
    const after = (ms: number, act: () => void) => {
      if (ms !== 10_000) return systemClock.after(ms, act);
      giveUp = act;
      return { cancel: () => undefined };
    };
    const silent = net.createServer();
    const arrived = once(silent, 'connection');
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as net.AddressInfo;
    const { url } = await relayAt({}, noFaults, { clock: { ...systemClock, after } });
    const attachUrl = `http://127.0.0.1:${port}/v1/streams/${unknown}/attach`;
    const made = source(url, { attachUrl, ticket: 'x'.repeat(64) }).then((res) => res);
    const [connection] = (await arrived) as [net.Socket];
    const left = once(connection.resume(), 'close');
    giveUp();
    const { status, body } = await made;
    expect([status, body.code, body.detail]).toEqual([
      502,
      'peer-unreachable',
      `${attachUrl} did not take the stream within 10000 ms.`,
    ]);
    await left;
    expect((await request(url).get('/v1/streams')).body.streams).toEqual([]);
    silent.close();
  });

  it('whose local end does not come fails by the attach timer, on both sides', async () => {
    const b = await relayAt();
    const a = await relayAt({ attachMs: 50 });
    const stream = await destination(b.url);
    const { body } = await source(a.url, stream);
    expect(await stateOf(a.url, body.id, 'failed')).toMatchObject({ reason: 'the local end did not connect within 50 ms' });
    const qemu = await connected(stream.localSocket);
    qemu.on('error', () => undefined).resume();
    expect((await stateOf(b.url, stream.id, 'failed')).reason).toMatch(/relay of the other host broke \(ECONNRESET\)/);
  });

  it('the local socket takes one connection and is gone', async () => {
    const { url } = await relayAt();
    const { localSocket, id } = await destination(url);
    const first = await connected(localSocket);
    expect(await stateOf(url, id, 'attached')).toMatchObject({ localSocket: null });
    await expect(connected(localSocket)).rejects.toMatchObject({ code: 'ENOENT' });
    first.destroy();
  });

  it('a fault at an attachment fails the stream and closes what came', async () => {
    const { url } = await relayAt({}, (point) => (point === 'R2' ? Promise.reject(new Error('injected')) : undefined));
    const { localSocket, id } = await destination(url);
    const qemu = await connected(localSocket);
    const ended = once(qemu.resume(), 'end');
    expect(await stateOf(url, id, 'failed')).toMatchObject({ reason: 'injected' });
    await ended;
    qemu.destroy();
  });
});

describe('streaming', () => {
  it('counts in the resource and in /metrics, keeps a half-close, and ends closed', async () => {
    const points: string[] = [];
    const b = await relayAt({}, (point) => void points.push(point));
    const a = await relayAt();
    const stream = await destination(b.url);
    const made = await source(a.url, stream);
    const [qemuA, qemuB] = [await connected(made.body.localSocket), await connected(stream.localSocket)];
    qemuA.end('x'.repeat(1_000));
    const [first] = (await once(qemuB, 'data')) as [Buffer];
    if (first.length === 1_000) await once(qemuB, 'end');
    expect(await stateOf(b.url, stream.id, 'streaming')).toMatchObject({ bytesFromPeer: 1_000, bandwidthMibPerSec: null });
    const running = (await request(b.url).get('/metrics')).text;
    const of = `stream="${stream.id}",migration="m1"`;
    for (const line of [
      `relay_stream_bytes_total{${of},direction="from_peer"} 1000`,
      `relay_stream_bytes_total{${of},direction="to_peer"} 0`,
      `relay_stream_bytes_per_second{${of},direction="to_peer"} 0`,
      `relay_stream_stalls_total{${of}} 0`,
      'relay_streams{state="streaming"} 1',
    ])
      expect(running).toContain(line);
    expect(running).toMatch(new RegExp(`relay_stream_bytes_per_second{${of},direction="from_peer"} [1-9]`));
    expect(running).toMatch(new RegExp(`relay_stream_splice_calls_total{${of}} [1-9]`));
    expect(running).toMatch(new RegExp(`relay_stream_silent_seconds{${of}} 0\\.`));
    qemuB.end('answer');
    qemuA.resume();
    expect(await stateOf(a.url, made.body.id, 'closed')).toMatchObject({ bytesToPeer: 1_000, bytesFromPeer: 6, reason: null });
    expect((await stateOf(b.url, stream.id, 'closed')).closedAt).not.toBeNull();
    const { text } = await request(a.url).get('/metrics');
    expect(text).toContain('relay_bytes_total{direction="to_peer"} 1000');
    expect(text).toContain('relay_bytes_total{direction="from_peer"} 6');
    expect(text).toContain('relay_streams{state="closed"} 1');
    expect(text).toContain('relay_streams_ended_total{outcome="closed"} 1');
    expect(text).not.toMatch(/^relay_stream_.*{/m);
    expect((await stateOf(a.url, made.body.id, 'closed')).toPeerBytesPerSec).toBe(0);
    expect(points).toEqual(['R0', 'R1', 'R2', 'R3', 'R4', 'R5']);
  });

  it('a silent stream fails where silence is bounded', async () => {
    const b = await relayAt({ silenceMs: 100 });
    const a = await relayAt();
    const stream = await destination(b.url);
    const made = await source(a.url, stream);
    const [qemuA, qemuB] = [await connected(made.body.localSocket), await connected(stream.localSocket)];
    for (const qemu of [qemuA, qemuB]) qemu.on('error', () => undefined).resume();
    expect(await stateOf(b.url, stream.id, 'failed')).toMatchObject({ reason: 'the stream was silent for 100 ms' });
    expect((await stateOf(a.url, made.body.id, 'failed')).reason).toMatch(/relay of the other host broke/);
  });

  it('tells the rate of each direction over the last second', async () => {
    const b = await relayAt();
    const a = await relayAt();
    const stream = await destination(b.url);
    const made = await source(a.url, stream, 'm1', { bandwidthMibPerSec: 4 });
    const [qemuA, qemuB] = [await connected(made.body.localSocket), await connected(stream.localSocket)];
    for (const qemu of [qemuA, qemuB]) qemu.on('error', () => undefined).resume();
    qemuA.write(Buffer.alloc(64 * 1_048_576));
    const rates = async () =>
      (await stateOf(b.url, stream.id, 'streaming')) as { fromPeerBytesPerSec: number; toPeerBytesPerSec: number };
    // The relay's cap makes the rate that is to be told; a machine that is busy makes it less for a while.
    for (;;) {
      const { fromPeerBytesPerSec, toPeerBytesPerSec } = await rates();
      expect(toPeerBytesPerSec).toBe(0);
      if (fromPeerBytesPerSec > 3.8 * 1_048_576 && fromPeerBytesPerSec < 4.2 * 1_048_576) break;
    }
  });

  it('finished streams are listed up to 1,000, and no total goes back when one is dropped', async () => {
    const { url, relay } = await relayAt();
    const far = await relayAt();
    const peer = await destination(url);
    const made = await source(far.url, peer);
    const oldest = peer.id;
    const [qemuA, qemuB] = [await connected(made.body.localSocket), await connected(peer.localSocket)];
    qemuA.end('moved');
    qemuB.resume().end();
    qemuA.resume();
    await stateOf(url, oldest, 'closed');
    for (let n = 0; n < 1_000; n += 1) {
      const { id } = await relay.streams.create(
        { role: 'destination', migrationId: 'm1', expiresSeconds: 60 },
        url,
        new AbortController().signal,
      );
      relay.streams.get(id).fail('x');
      await relay.streams.get(id).over;
    }
    expect((await request(url).get('/v1/streams')).body.streams).toHaveLength(1_000);
    expect((await request(url).get(`/v1/streams/${oldest}`)).status).toBe(404);
    const { text } = await request(url).get('/metrics');
    for (const line of ['{direction="from_peer"} 5', 's_ended_total{outcome="closed"} 1', 's_ended_total{outcome="failed"} 1000'])
      expect(text).toContain(line);
  });
});
