import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { openStream, RelayClient } from '@vmferry/client';
import { type TlsFiles, tlsSettings } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  expectBothWays,
  expectNothingLeftByMore,
  identityOf,
  qemuEnd,
  type RelayProcess,
  refusedRelay,
  relayProcess,
  streamIn,
  tlsArguments,
  tunnel,
} from './testing/relay-processes.js';

const bytes = 16 * 1_048_576;
let authority: TestAuthority;
let stranger: TestAuthority;
let agent: TlsFiles;

beforeAll(() => {
  authority = new TestAuthority();
  stranger = new TestAuthority();
  agent = authority.issue(['agent']);
});
afterAll(() => {
  authority.remove();
  stranger.remove();
});

function tlsRelay(own = authority.issue(['relay']), more: readonly string[] = []): Promise<RelayProcess> {
  return relayProcess([...tlsArguments(own), '--log-level', 'info', ...more], {}, agent);
}

async function logOf(relay: RelayProcess, what: RegExp): Promise<void> {
  while (!what.test(relay.logged())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const pemOf = (files: TlsFiles) => identityOf(files).pem;

describe('two relays with certificates (threats 4, 5 and 8)', () => {
  it('carry 16 MiB both ways at once, keep half-closes, and say that it was by TLS', async () => {
    const [a, b] = [await tlsRelay(), await tlsRelay()];
    expect(a.url).toMatch(/^https:/);
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    await expectBothWays({ qemuA, qemuB }, bytes);
    const closed = { path: 'tls', spliceCalls: 0, bytesToPeer: bytes, bytesFromPeer: bytes, reason: null };
    expect(await streamIn(a, source.id, 'closed')).toMatchObject(closed);
    expect(await streamIn(b, destination.id, 'closed')).toMatchObject(closed);
    await expectNothingLeftByMore(a, b);
  });

  it('show nothing of the stream, the ticket or the migration to whoever listens between them', async () => {
    const [a, b] = [await tlsRelay(), await tlsRelay()];
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'secret-migration' });
    const { port, heard } = await eavesdropper(Number(new URL(b.url).port));
    const url = (destination.attachUrl ?? '').replace(/:\d+/, `:${port}`);
    const peer = { url, ticket: destination.ticket ?? '' };
    const source = await a.client.createStream({ role: 'source', migrationId: 'secret-migration', peer });
    const [qemuA, qemuB] = [await qemuEnd(source), await qemuEnd(destination)];
    qemuA.end('the memory of the guest');
    expect(String((await once(qemuB, 'data'))[0])).toBe('the memory of the guest');
    qemuB.end();
    qemuA.resume();
    await streamIn(a, source.id, 'closed');
    for (const relay of [a, b])
      expect(relay.logged(), 'threat 10: its own key, and what the session is bound by').not.toMatch(
        /PRIVATE KEY|vmferry-stream-1\//,
      );
    const wire = heard();
    expect(wire.length).toBeGreaterThan(2_000);
    for (const secret of ['the memory of the guest', peer.ticket, 'secret-migration', destination.id])
      expect(wire.includes(secret)).toBe(false);
  });
});

/** Passes everything on to a relay, and keeps it. */
async function eavesdropper(to: number): Promise<{ port: number; heard(): Buffer }> {
  const chunks: Buffer[] = [];
  const server = net.createServer((from) => {
    const onward = net.connect(to, '127.0.0.1');
    for (const socket of [from, onward]) socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined);
    from.pipe(onward).pipe(from);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { port: (server.address() as net.AddressInfo).port, heard: () => Buffer.concat(chunks) };
}

describe('who may do what at a relay with a certificate', () => {
  const callers: [string, () => TlsFiles, string, RegExp][] = [
    ['a relay creates no stream', () => authority.issue(['relay']), 'forbidden', /relay-.* does not have the permission/],
    [
      'a client has what its token says, which is nothing here',
      () => authority.issue(['client']),
      'forbidden',
      /client-.* does not have the permission/,
    ],
    ['no role', () => authority.issue([]), 'certificate-refused', /it names no role/],
    ['an expired one', () => authority.issue(['agent'], { days: -1 }), 'certificate-refused', /it has expired/],
    ['another CA', () => foreign(stranger.issue(['agent'])), 'certificate-refused', /not of the CA that is accepted/],
    ['signed by itself', () => foreign(stranger.selfSigned(['agent'])), 'certificate-refused', /signed by itself|not of the CA/],
  ];
  it.each(callers)('%s', async (_who, files, code, reason) => {
    const relay = await tlsRelay();
    const client = new RelayClient(relay.url, { tls: identityOf(files()) });
    const refusal = client.createStream({ role: 'destination', migrationId: 'm1' });
    await expect(refusal).rejects.toMatchObject({ code, message: reason });
    await logOf(relay, reason);
    expect((await relay.client.streams()).streams).toEqual([]);
  });

  it('no certificate at all is told so, on every path', async () => {
    const relay = await tlsRelay();
    for (const path of ['/version', '/nothing', '/v1/streams']) {
      const { body } = await ask(relay.url, path, { ca: readFileSync(agent.ca) });
      expect(body).toMatchObject({ status: 403, code: 'certificate-refused' });
    }
    await logOf(relay, /a certificate was refused.*none was shown/);
  });

  it('plain HTTP and older TLS get no answer, and are logged', async () => {
    const relay = await tlsRelay();
    const plain = http.get(relay.url.replace('https', 'http'));
    await once(plain, 'error');
    await logOf(relay, /speaks plain HTTP/);
    const old = tls.connect({ port: Number(new URL(relay.url).port), host: '127.0.0.1', ...old12(agent) });
    await once(old, 'error');
    await logOf(relay, /it does not speak TLS 1.3/);
  });

  it('no session is taken up again, and AES-128-GCM is what is spoken', async () => {
    const relay = await tlsRelay();
    const connect = async (session?: Buffer) => {
      const given = session === undefined ? {} : { session };
      const socket = tls.connect({
        port: Number(new URL(relay.url).port),
        host: '127.0.0.1',
        ...tlsSettings(pemOf(agent)),
        ...given,
      });
      let offered: Buffer | undefined;
      socket.on('session', (told: Buffer) => {
        offered = told;
      });
      await once(socket, 'secureConnect');
      const spoken = { isReused: socket.isSessionReused(), cipher: socket.getCipher().name };
      socket.end('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      await once(socket.resume(), 'end');
      return { offered, ...spoken };
    };
    const first = await connect();
    expect(first).toMatchObject({ isReused: false, cipher: 'TLS_AES_128_GCM_SHA256' });
    expect((await connect(first.offered)).isReused).toBe(false);
  });
});

describe('a stream between relays with certificates', () => {
  it.each([
    ['an agent', 'agent'],
    ['a client', 'client'],
  ] as const)('is not attached by %s, and waits on for its peer', async (_who, role) => {
    const b = await tlsRelay();
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
    const attach = (files: TlsFiles) =>
      openStream({
        url: destination.attachUrl ?? '',
        ticket: destination.ticket ?? '',
        migrationId: 'm1',
        deadlineMs: 5_000,
        tls: pemOf(files),
      });
    await expect(attach(authority.issue([role]))).rejects.toMatchObject({
      code: 'certificate-refused',
      message: /attached by a relay/,
    });
    expect(await streamIn(b, destination.id, 'waiting')).toMatchObject({ reason: null });
    (await attach(authority.issue(['relay']))).socket.destroy();
  });

  const peers: [string, () => TlsFiles, RegExp][] = [
    ['has another role', () => authority.issue(['agent']), /not of a relay/],
    ['is another host', () => authority.issue(['relay'], { names: ['DNS:elsewhere.example'] }), /not of this host/],
    ['has expired', () => authority.issue(['relay'], { days: -1 }), /has expired/],
    ['is of another CA', () => foreign(stranger.issue(['relay'])), /not of the CA/],
  ];
  it.each(peers)('is not opened to a peer whose certificate %s; no ticket is shown to it', async (_what, files, reason) => {
    const a = await tlsRelay();
    const own = files();
    let heard = 0;
    const server = tls.createServer({ ...tlsSettings(pemOf(own)), requestCert: true, rejectUnauthorized: false }, (socket) =>
      socket.on('data', () => {
        heard += 1;
      }),
    );
    server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `https://127.0.0.1:${(server.address() as net.AddressInfo).port}/v1/streams/s/attach`;
    const opening = a.client.createStream({ role: 'source', migrationId: 'm1', peer: { url, ticket: 'x'.repeat(64) } });
    await expect(opening).rejects.toMatchObject({ code: 'certificate-refused', message: reason });
    expect(heard).toBe(0);
    expect((await a.client.streams()).streams).toEqual([]);
  });

  it('threat 19: in the clear is not opened by a relay with a certificate, and not over TLS by one without', async () => {
    const [withOne, without] = [await tlsRelay(), await relayProcess()];
    const peer = (scheme: string) => ({ url: `${scheme}://127.0.0.1:1/v1/streams/s/attach`, ticket: 'x'.repeat(64) });
    for (const [relay, scheme] of [
      [withOne, 'http'],
      [without, 'https'],
    ] as const) {
      const opening = relay.client.createStream({ role: 'source', migrationId: 'm1', peer: peer(scheme) });
      await expect(opening).rejects.toMatchObject({ code: 'invalid-argument', message: /A stream is opened over/ });
    }
  });
});

describe('the certificate of a relay', () => {
  it('is replaced on disk and shown from then on; a broken one is logged and the one before it goes on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vf-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const own: TlsFiles = { cert: join(folder, 'relay.pem'), key: join(folder, 'relay.key'), ca: authority.ca };
    const place = (files: TlsFiles) => {
      copyFileSync(files.cert, own.cert);
      copyFileSync(files.key, own.key);
    };
    const [first, second] = [authority.issue(['relay']), authority.issue(['relay'])];
    place(first);
    const b = await tlsRelay(own);
    expect(await shownBy(b)).toBe(readFileSync(first.cert, 'utf8'));
    place(second);
    expect(await shownBy(b)).toBe(readFileSync(second.cert, 'utf8'));
    await logOf(b, /the certificate was replaced/);
    writeFileSync(own.key, 'no key');
    expect(await shownBy(b)).toBe(readFileSync(second.cert, 'utf8'));
    await logOf(b, /the new certificate cannot be used/);
    place(first);
    b.child.kill('SIGHUP');
    while (b.logged().split('the certificate was replaced').length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    const { qemuA, qemuB, destination } = await tunnel(await tlsRelay(), b);
    for (const qemu of [qemuA, qemuB]) qemu.end().resume();
    expect((await streamIn(b, destination.id, 'closed', 'failed')).state).toBe('closed');
  });

  it.each([
    [() => ['--tls-cert', agent.cert], /given together, or none/],
    [
      () => ['--tls-cert', agent.cert, '--tls-key', authority.issue(['relay']).key, '--tls-ca', agent.ca],
      /cannot be used: .*the key is not that of the certificate/,
    ],
    [() => ['--tls-cert', agent.cert, '--tls-key', agent.key, '--tls-ca', agent.key], /there is no certificate in/],
    [() => [...tlsArguments(agent), '--public-url', 'http://relay.example:1'], /has to be https:/],
  ])('arguments that do not fit end it with 1 and a message: %#', async (args, message) => {
    expect(await refusedRelay(args())).toEqual({ code: 1, errors: expect.stringMatching(message) });
  });
});

/** A certificate of another CA, and this CA to check the relay with. */
const foreign = (files: TlsFiles): TlsFiles => ({ ...files, ca: authority.ca });
async function shownBy(relay: RelayProcess): Promise<string> {
  const socket = tls.connect({ port: Number(new URL(relay.url).port), host: '127.0.0.1', ...tlsSettings(pemOf(agent)) });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate()?.toString() ?? '';
  socket.destroy();
  return shown;
}

async function ask(url: string, path: string, options: tls.ConnectionOptions): Promise<{ body: unknown }> {
  const socket = tls.connect({ port: Number(new URL(url).port), host: '127.0.0.1', ...options });
  await once(socket, 'secureConnect');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return { body: JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) };
}

function old12(files: TlsFiles): tls.ConnectionOptions {
  const { cert, key, ca } = pemOf(files);
  return { cert, key, ca, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
}
