import type { QmpClient } from '@vmferry/qmp';

/**
 * Makes the disks of a guest its own again that has come in and has not run since. With `late-block-activate` QEMU leaves them inactive until `cont`, and ends itself by an
 * assertion (`bdrv_inactivate_recurse`, seen with 7.2) when such a guest is migrated or saved. Before 10.0 it has no command for that; what it exports it activates, so each root of its
 * block graph is exported read-only for a moment, to a socket at `socketPath` to which nobody connects. Nothing changes for disks that are active. Throws `monitor-failed` when another
 * QEMU has one of them.
 */
export async function activateDisks(qmp: QmpClient, socketPath: string): Promise<void> {
  const disks = await qmp.execute('query-block', {});
  const nodes = disks.flatMap(({ inserted }) => inserted?.['node-name'] ?? []);
  if (nodes.length === 0) return;
  await qmp.executeUntyped('nbd-server-start', { addr: { type: 'unix', data: { path: socketPath } } });
  try {
    for (const [index, node] of nodes.entries())
      await qmp.executeUntyped('block-export-add', {
        'type': 'nbd',
        'id': `activation-${index}`,
        'node-name': node,
        'writable': false,
      });
  } finally {
    // The exports end with it.
    await qmp.executeUntyped('nbd-server-stop', {});
  }
}
