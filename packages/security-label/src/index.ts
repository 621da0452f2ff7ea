export { AppArmorLabels, parseConfinement } from './apparmor/apparmor.js';
export { openAppArmor } from './apparmor/kernel.js';
export { DacLabels, type DacOptions, parseRememberedOwners } from './dac.js';
export type { Documents, RememberedFiles } from './documents.js';
export { labelledDomain } from './labelled-domain.js';
export { checkModels } from './models.js';
export { noLabels } from './none.js';
export { checkReach } from './reach.js';
export type {
  GuestLabel,
  LabelledDomain,
  SecurityDriver,
  SocketMaker,
} from './security-driver.js';
export { openSelinux } from './selinux/kernel.js';
export { parseLevelOwner, parseSelinuxLabel } from './selinux/labels.js';
export { parseRememberedContexts, SelinuxLabels } from './selinux/selinux.js';
export { stackLabels } from './stack.js';
