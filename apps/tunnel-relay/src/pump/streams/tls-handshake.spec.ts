import { once } from 'node:events';
import type net from 'node:net';
import tls from 'node:tls';
import { detachSocket } from '@vmferry/posix';
import { tlsSettings } from '@vmferry/tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startPump } from '../index.js';
import { type Connection, connection, fate } from '../testing/connections.js';
import { connected, sessions } from '../testing/rig.js';
import type { TlsSession } from '../tls-session.js';

/** A pump that waits for the TLS of its peer, with what can be done at the other end of the connection. */
async function waiting(session: Partial<TlsSession> = {}) {
  const [local, between] = [await connected('unix'), await connection('tcp')];
  // A handshake that fails is a reset for whoever plays the other relay.
  between.peer.on('error', () => undefined);
  onTestFinished(() => void between.peer.destroy());
  const pump = startPump({ local: local.fd, remote: between.fd, tls: { ...sessions().server, ...session } });
  return { local, between, pump };
}

/** The other relay, with something wrong about its session. */
async function otherRelay(between: Connection, session: Partial<TlsSession>) {
  const qemu = await connected('unix');
  return startPump({ local: qemu.fd, remote: detachSocket(between.peer), tls: { ...sessions().client, ...session } });
}

describe('the TLS of a stream (threats 4 and 5)', () => {
  it('does not take a certificate of the same CA that is not the one of the admission', async () => {
    const { between, local, pump } = await waiting();
    local.peer.write('the memory of the guest');
    const other = await otherRelay(between, { own: sessions().server.own });
    expect(await pump.ended).toMatchObject({ t: 'failed', side: 'remote', name: 'EACCES' });
    expect(await other.ended).toMatchObject({ t: 'failed', side: 'remote' });
    expect(pump.counters.bytesToRemote).toBe(0);
  });

  it('does not go to a server with another certificate, and nothing is sent to it', async () => {
    const { between, pump } = await waiting({ own: sessions().client.own });
    const other = await otherRelay(between, {});
    expect(await other.ended).toMatchObject({ t: 'failed', side: 'remote', name: 'EACCES' });
    expect(await pump.ended).toMatchObject({ t: 'failed', side: 'remote' });
    expect(other.counters.bytesToRemote).toBe(0);
  });

  it('does not take the connection of another stream', async () => {
    const { between, pump } = await waiting();
    const other = await otherRelay(between, { protocol: 'vmferry-another' });
    expect((await pump.ended).t).toBe('failed');
    expect((await other.ended).t).toBe('failed');
  });

  it.each([
    ['plain bytes', (peer: net.Socket) => peer.write('QEVM plain bytes of a migration')],
    ['an end', (peer: net.Socket) => peer.end()],
    [
      'no certificate',
      (peer: net.Socket) => tls.connect({ socket: peer, ca: sessions().client.own.ca }).on('error', () => undefined),
    ],
  ])('fails on %s', async (_what, act) => {
    const { between, local, pump } = await waiting();
    const seen = fate(local.peer);
    act(between.peer);
    expect(await pump.ended).toMatchObject({ t: 'failed', side: 'remote' });
    expect(await seen).toBe('end');
  });

  it('is bounded in time, and can be aborted', async () => {
    expect(await (await waiting({ handshakeMs: 50 })).pump.ended).toMatchObject({ t: 'failed', name: 'ETIMEDOUT' });
    const { pump } = await waiting();
    pump.abort('cancelled');
    expect(await pump.ended).toEqual({ t: 'aborted', reason: 'cancelled' });
  });

  it('a connection that is cut between its bytes is no end', async () => {
    const { between, local, pump } = await waiting();
    const { own, protocol } = sessions().client;
    const peer = tls.connect({
      ...tlsSettings(own),
      socket: between.peer,
      ALPNProtocols: [protocol],
      checkServerIdentity: () => undefined,
    });
    await once(peer, 'secureConnect');
    const arrived = once(local.peer, 'data');
    peer.write(Buffer.from('\0\0\0\x05whole'));
    expect(String(await arrived)).toBe('whole');
    // Node ends TLS in order and the connection with it, as whoever cuts it could.
    peer.end();
    expect(await pump.ended).toMatchObject({ t: 'failed', side: 'remote', direction: 'to-local', name: 'ECONNRESET' });
  });
});
