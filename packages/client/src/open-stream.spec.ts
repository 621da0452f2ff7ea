import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { congestionControl, poll, pollBits, setCongestionControl, takeHandle } from '@vmferry/posix';
import { type TlsFiles, type TlsPem, tlsSettings } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStream } from './open-stream.js';
import { problem, scriptedApp } from './scripted-app.js';

const ticket = 'x'.repeat(43);
const accept = (protocol = 'vmferry-stream-1') =>
  `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;

async function upgradingApp(onUpgrade: (socket: Socket) => void) {
  const app = await scriptedApp((_heard, res) => problem(res, 403, 'ticket-invalid', 'Used.'));
  const tickets: unknown[] = [];
  app.server.on('upgrade', (req, socket: Socket) => {
    tickets.push(req.headers['x-vmferry-ticket'], req.headers['x-vmferry-migration'], req.url);
    onUpgrade(socket);
  });
  return { ...app, tickets };
}

type Found = { readonly address: string; readonly family: 4 | 6 };
/** Every name leads to these. */
const resolving = (...found: readonly Found[]) =>
  ((_name: string, _options: object, answer: (error: null, addresses: readonly Found[]) => void) => answer(null, found)) as never; // The one overload that is called.

describe('openStream', () => {
  it('brings the ticket in its header, and returns the socket and what came behind the 101; Node reads nothing more', async () => {
    let server: Socket | undefined;
    const app = await upgradingApp((socket) => {
      server = socket;
      socket.write(`${accept()}early`);
    });
    const { socket, head } = await openStream({
      url: `${app.url}/v1/streams/1/attach`,
      ticket,
      migrationId: 'm1',
      deadlineMs: 5_000,
    });
    expect([head.toString(), app.tickets]).toEqual(['early', [ticket, 'm1', '/v1/streams/1/attach']]);
    let swallowed = 0;
    socket.on('data', (chunk) => {
      swallowed += chunk.length;
    });
    socket.pause();
    await new Promise((resolve) => server?.write('later', resolve));
    for (let n = 0; n < 20; n += 1) await turn();
    expect([swallowed, socket.bytesRead]).toEqual([0, Buffer.byteLength(`${accept()}early`)]);
    socket.destroy();
    server?.destroy();
  });

  it('a refusal is its problem; another protocol is nonsense', async () => {
    const refusing = await scriptedApp((_heard, res) => problem(res, 403, 'ticket-invalid', 'Used.'));
    await expect(openStream({ url: refusing.url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'ticket-invalid',
      message: 'Used.',
    });
    const page = await scriptedApp((_heard, res) => res.writeHead(404).end('<h1>'));
    await expect(openStream({ url: page.url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'peer-nonsense',
    });
    const other = await upgradingApp((socket) => socket.write(accept('websocket')));
    await expect(openStream({ url: other.url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'peer-nonsense',
    });
  });

  it('silence until the deadline and a closed connection are peer-unreachable; an abort throws its reason', async () => {
    const silent = await upgradingApp(() => undefined);
    await expect(openStream({ url: silent.url, ticket, migrationId: 'm1', deadlineMs: 50 })).rejects.toMatchObject({
      code: 'peer-unreachable',
    });
    const closing = await upgradingApp((socket) => socket.destroy());
    await expect(openStream({ url: closing.url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'peer-unreachable',
    });
    const abort = new AbortController();
    const opening = openStream({ url: silent.url, ticket, migrationId: 'm1', deadlineMs: 5_000, signal: abort.signal });
    await once(silent.server, 'upgrade');
    abort.abort(new Error('cancelled'));
    await expect(opening).rejects.toThrow('cancelled');
    await expect(openStream({ url: 'https://127.0.0.1:1', ticket, migrationId: 'm1', deadlineMs: 50 })).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });

  it('a refusal that drips is not waited for beyond the deadline', async () => {
    const app = await scriptedApp((_heard, res) => {
      const dripping = setInterval(() => res.write(' '), 10);
      res.writeHead(403).once('close', () => clearInterval(dripping));
    });
    const opening = openStream({ url: app.url, ticket, migrationId: 'm1', deadlineMs: 200 });
    await expect(opening).rejects.toMatchObject({ code: 'peer-unreachable' });
  });

  it.each(['http://169.254.169.254/x', 'http://[::ffff:7f00:1]/x', 'http://0.0.0.0:1/x'])(
    'S32: nothing is sent to %s',
    async (url) => {
      await expect(openStream({ url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
        code: 'invalid-argument',
      });
    },
  );

  it('S32: a name that leads to metadata is not connected to, however it is spelled', async () => {
    const app = await upgradingApp((socket) => socket.write(accept()));
    const opening = (address: string) =>
      openStream({
        url: app.url.replace('127.0.0.1', 'rebound.example'),
        ticket,
        migrationId: 'm1',
        deadlineMs: 5_000,
        lookup: resolving({ address, family: 4 }),
      });
    await expect(opening('169.254.169.254')).rejects.toMatchObject({ code: 'invalid-argument', message: /169\.254\.169\.254/ });
    expect(app.tickets).toEqual([]);
    (await opening('127.0.0.1')).socket.destroy();
    expect(app.tickets).toContain(ticket);
  });

  it('S32: a redirect is not followed', async () => {
    const target = await upgradingApp((socket) => socket.write(accept()));
    const app = await scriptedApp((_heard, res) => res.writeHead(307, { location: target.url }).end());
    await expect(openStream({ url: app.url, ticket, migrationId: 'm1', deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'peer-nonsense',
    });
    expect(target.tickets).toEqual([]);
  });
});

const pemOf = ({ cert, key, ca }: TlsFiles): TlsPem => ({
  cert: readFileSync(cert, 'utf8'),
  key: readFileSync(key, 'utf8'),
  ca: readFileSync(ca, 'utf8'),
});

async function tlsApp() {
  const authority = new TestAuthority();
  const [own, peer] = [pemOf(authority.issue(['relay'])), pemOf(authority.issue(['relay']))];
  authority.remove();
  const server = https.createServer({ ...tlsSettings(peer), requestCert: true }).listen(0, '127.0.0.1');
  server.on('upgrade', (_req, socket: Socket) => socket.write(accept()));
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, own };
}

describe('beforeConnect', () => {
  const hangUp = (fd: number) => (poll([{ fd, events: 0 }], 0)[0] ?? 0) & pollBits.hangUp;
  const asked = { ticket, migrationId: 'm1', deadlineMs: 5_000 };
  const loopback = { address: '127.0.0.1', family: 4 } as const;

  it.each(['an address', 'a name', 'an address over https', 'a name over https'])(
    'is told the descriptor of what is not connected yet, for %s; an option set there stays',
    async (to) => {
      const { url, own = null } = to.endsWith('https')
        ? await tlsApp()
        : { ...(await upgradingApp((socket) => socket.write(accept()))), own: undefined };
      const told: number[] = [];
      const { socket } = await openStream({
        ...asked,
        url: to.startsWith('a name') ? url.replace('127.0.0.1', 'localhost') : url,
        tls: own,
        lookup: resolving(loopback),
        beforeConnect: (fd) => {
          // Linux says so of a TCP socket without a connection.
          expect(hangUp(fd)).toBe(pollBits.hangUp);
          setCongestionControl(fd, 'reno');
          told.push(fd);
        },
      });
      const fd = takeHandle(socket);
      expect([told, congestionControl(fd), hangUp(fd)]).toEqual([[fd], 'reno', 0]);
      socket.destroy();
    },
  );

  it.each([
    ['of both families', { address: '::1', family: 6 }],
    ['of one', { address: '127.0.0.2', family: 4 }],
  ] as const)('is not told for a name with several addresses %s: all of them are tried', async (_of, deaf) => {
    const app = await upgradingApp((socket) => socket.write(accept()));
    let told = 0;
    const { socket } = await openStream({
      ...asked,
      url: app.url.replace('127.0.0.1', 'two.example'),
      lookup: resolving(deaf, loopback),
      beforeConnect: () => {
        told += 1;
      },
    });
    expect([told, socket.remoteAddress]).toEqual([0, '127.0.0.1']);
    socket.destroy();
  });

  it('fails the attempt by what it throws', async () => {
    const app = await upgradingApp((socket) => socket.write(accept()));
    const beforeConnect = () => {
      throw new Error('no such option');
    };
    await expect(openStream({ ...asked, url: app.url, beforeConnect })).rejects.toThrow(/no such option/);
    expect(app.tickets).toEqual([]);
  });
});
