import { VmferryError } from '@vmferry/errors';
import type { HostState } from '@vmferry/host-state';
import { EmbeddedLocks, EtcdLocks, type EtcdOptions, type LockDriver, noLocks, SanlockLocks } from '@vmferry/locking';
import { type Clock, systemRandom } from '@vmferry/seams';
import { isLoopback } from '@vmferry/service';
import { TlsIdentity } from '@vmferry/tls';
import type { AgentOptions } from './options.js';

const membersMax = 16;

/** The lock driver that the options name, for this host. Throws `invalid-argument`, `lease-unavailable`. */
export async function openLocks(
  options: AgentOptions,
  { folders, identity }: Pick<HostState, 'folders' | 'identity'>,
  clock: Clock,
): Promise<LockDriver> {
  const { hostUuid } = identity;
  if (options.lockDriver !== 'etcd' && options.etcd.length > 0)
    throw refused('--etcd is given and --lock-driver is not etcd; give both or none');
  const { sanlockFolder: folder, sanlockHostId: hostId, sanlockRunDir: runDir = null, sanlockNoWatchdog } = options;
  if (options.lockDriver !== 'sanlock' && (folder ?? hostId ?? runDir ?? sanlockNoWatchdog ?? null) !== null)
    throw refused('--sanlock-... is given and --lock-driver is not sanlock; give both or none');
  switch (options.lockDriver) {
    case 'none':
      return noLocks;
    case 'embedded':
      return EmbeddedLocks.open({ folder: folders.locks, scope: 'host', hostUuid, clock });
    case 'sanlock':
      if (folder === undefined || hostId === undefined)
        throw refused('--lock-driver sanlock takes --sanlock-folder and --sanlock-host-id');
      return SanlockLocks.open({ folder, hostId, runDir, allowNoWatchdog: sanlockNoWatchdog === true, hostUuid, clock });
    case 'etcd':
      return new EtcdLocks({ ...etcdOptions(options), hostUuid, clock, random: systemRandom });
  }
}

/** Whoever can write to the etcd decides who runs which guest, so it is spoken to in plain text on loopback alone (threats, rows 18 and 19). */
function etcdOptions({ etcd, etcdPrefix: prefix, etcdCert, etcdKey, etcdCa }: AgentOptions): EtcdOptions {
  if (etcd.length === 0 || etcd.length > membersMax) throw refused(`--lock-driver etcd takes 1 to ${membersMax} URLs in --etcd`);
  if (!/^[\x21-\x7e]{1,256}$/.test(prefix))
    throw refused('--etcd-prefix takes 1 to 256 printable ASCII characters without spaces');
  const endpoints = etcd.map((text) => endpointOf(text));
  const shown = certificateOf(etcdCert, etcdKey, etcdCa);
  if (shown === null && endpoints.some(({ protocol }) => protocol === 'https:'))
    throw refused('an etcd at https:// takes --etcd-cert, --etcd-key and --etcd-ca');
  return { endpoints: endpoints.map(({ origin }) => origin), prefix, tls: shown };
}

function certificateOf(cert: string | undefined, key: string | undefined, ca: string | undefined): TlsIdentity | null {
  if (cert === undefined && key === undefined && ca === undefined) return null;
  if (cert === undefined || key === undefined || ca === undefined)
    throw refused('--etcd-cert, --etcd-key and --etcd-ca are given all three or not at all');
  return new TlsIdentity({ cert, key, ca });
}

function endpointOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const bare = url !== null && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '';
  if (!bare || !['http:', 'https:'].includes(url.protocol))
    throw refused(`"${text.slice(0, 256)}" is no URL of an etcd; give https://HOST:PORT`);
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
    throw refused(`the etcd at ${url.origin} is not on this host and would be spoken to in plain text; give https://`);
  return url;
}

function refused(reason: string): VmferryError {
  return new VmferryError('invalid-argument', `The lock driver cannot be opened: ${reason}.`);
}
