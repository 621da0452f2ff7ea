import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { Findings, VmferryError } from '@vmferry/errors';
import type { SecurityDriver } from './security-driver.js';

/** Labels nothing: QEMU runs as the user of the agent, which is not root. */
export const noLabels: SecurityDriver = {
  name: 'none',
  models: [],
  user: null,
  async faults({ writable, readable, connected }) {
    const findings = new Findings();
    for (const path of readable) await findings.later(() => checkAccess(path, constants.R_OK));
    for (const path of [...writable, ...connected]) await findings.later(() => checkAccess(path, constants.W_OK));
    return findings.errors;
  },
  labelAll: () => Promise.resolve([]),
  labelOwn: () => Promise.resolve(),
  restoreAll: () => Promise.resolve(),
  labelPath: () => Promise.resolve(),
  restorePath: () => Promise.resolve(),
  release: () => Promise.resolve(),
  reserve: () => Promise.resolve(),
  execLabels: () => Promise.resolve([]),
  labelsOf: () => Promise.resolve([]),
  labelImageFd: () => Promise.resolve(),
  labelStreamFd: () => Promise.resolve(),
  socketMaker: () => Promise.resolve((make) => make()),
};

async function checkAccess(path: string, mode: number): Promise<void> {
  try {
    await access(path, mode);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VmferryError('label-failed', `${path} cannot be used by QEMU, which runs as the agent's own user (${reason}).`, {
      cause,
      data: { path },
    });
  }
}
