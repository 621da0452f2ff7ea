import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Host, quickTimers } from '@vmferry/lab';
import { systemRandom } from '@vmferry/seams';
import { expectAuditComplete } from '../checks/audit-complete.js';

const permissions = ['read', 'operate', 'migrate-send', 'migrate-receive', 'agent', 'relay', 'admin'];

/** Who may do all, by this token, under this name. */
export interface Credentials {
  readonly name: string;
  readonly token: string;
  readonly tokenFile: string;
  readonly peerTokenFile: string;
}

/** A token file with an operator and a peer, who may do all. */
export async function credentialsIn(folder: string): Promise<Credentials & { readonly peerToken: string }> {
  const [token, peerToken] = [`canary-ops-${systemRandom.hex(16)}`, `canary-peer-${systemRandom.hex(16)}`];
  const row = (name: string, text: string) => ({
    name,
    sha256: createHash('sha256').update(text).digest('hex'),
    permissions,
  });
  const [tokenFile, peerTokenFile] = [join(folder, 'tokens.json'), join(folder, 'peer-token')];
  await writeFile(tokenFile, JSON.stringify({ tokens: [row('ops@spec', token), row('peer@spec', peerToken)] }), { mode: 0o600 });
  await writeFile(peerTokenFile, peerToken, { mode: 0o600 });
  return { name: 'ops@spec', token, peerToken, tokenFile, peerTokenFile };
}

export interface GuardedHost {
  readonly host: Host;
  readonly credentials: Credentials;
  /** Of the operator. */
  readonly headers: Readonly<Record<string, string>>;
  end(): Promise<void>;
}

/** One host whose apps ask for a token. */
export async function guardedHost(): Promise<GuardedHost> {
  const folder = await mkdtemp(join(tmpdir(), 'vfd-'));
  await chmod(folder, 0o711);
  await mkdir(join(folder, 'h'), { mode: 0o711 });
  const credentials = await credentialsIn(folder);
  const host = new Host({ name: 'host-h', folder: join(folder, 'h'), timers: quickTimers, credentials });
  await host.start();
  return {
    host,
    credentials,
    headers: { authorization: `Bearer ${credentials.token}` },
    async end() {
      await expectAuditComplete([host.stateDir]).finally(() => host.kill());
      await rm(folder, { recursive: true });
    },
  };
}
