import { VmferryError } from '@vmferry/errors';
import type { QmpClient } from '@vmferry/qmp';

/** QEMU's own TLS on the stream of a migration, as one of its ends is told of it. */
export interface MigrationTls {
  readonly endpoint: 'server' | 'client';
  /** The folder with `ca-cert.pem` and the certificate and key of the endpoint, readable for QEMU's user. */
  readonly dir: string;
  /** What the certificate of the server has to be of; for a client alone, whose QEMU gets a connected socket and so knows no name. */
  readonly hostName?: string;
}

const credentialsId = 'vmferry-migration-tls';

/**
 * Has the next migration of this QEMU go over TLS, or not, whatever an earlier one has left behind. Each end verifies the other. Before
 * `migrate` or `migrate-incoming`. Throws `tls-unavailable` when QEMU cannot use the credentials.
 */
export async function setMigrationTls(qmp: QmpClient, tls: MigrationTls | null): Promise<void> {
  if (tls === null) return nameCredentials(qmp, '', '');
  const { endpoint, dir, hostName = '' } = tls;
  await clearMigrationTls(qmp);
  try {
    const credentials = { 'qom-type': 'tls-creds-x509', 'id': credentialsId, dir, endpoint, 'verify-peer': true } as const;
    await qmp.execute('object-add', credentials);
  } catch (thrown) {
    throw refusedByQemu(thrown, dir);
  }
  await nameCredentials(qmp, credentialsId, hostName);
}

/** The parameters first: they name the object. That there is none is what is wanted. */
export async function clearMigrationTls(qmp: QmpClient): Promise<void> {
  await nameCredentials(qmp, '', '');
  await qmp.execute('object-del', { id: credentialsId }).catch((thrown: unknown) => {
    if (!VmferryError.is(thrown, 'monitor-failed')) throw thrown;
  });
}

async function nameCredentials(qmp: QmpClient, id: string, hostName: string): Promise<void> {
  await qmp.execute('migrate-set-parameters', { 'tls-creds': id, 'tls-hostname': hostName });
}

function refusedByQemu(thrown: unknown, dir: string): unknown {
  if (!VmferryError.is(thrown, 'monitor-failed')) return thrown;
  const reason = typeof thrown.data.desc === 'string' ? thrown.data.desc : thrown.message;
  return new VmferryError('tls-unavailable', `QEMU cannot use the certificates in ${dir}: ${reason}.`, { cause: thrown });
}
