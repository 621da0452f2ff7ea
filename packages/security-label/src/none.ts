import type { SecurityDriver } from './security-driver.js';

/** Labels nothing: QEMU runs as the user of the agent, which is not root. */
export const noLabels: SecurityDriver = {
  name: 'none',
  user: null,
  labelAll: () => Promise.resolve([]),
  restoreAll: () => Promise.resolve(),
  labelPath: () => Promise.resolve(),
  restorePath: () => Promise.resolve(),
  labelImageFd: () => Promise.resolve(),
};
