import { VmferryError } from '@vmferry/errors';
import type { LabelledDomain, SecurityModel } from './security-driver.js';

/** Models under which a guest can have a label of its own; the user of `dac` is the host's. */
const ownLabelModels = ['selinux', 'apparmor'];

/**
 * A label that the definition names is given or refused, never left out (libvirt: verify). Throws `label-failed` when the drivers of this host do not
 * have its model.
 */
export function checkModels({ name, secLabels }: LabelledDomain, models: readonly SecurityModel[]): void {
  const has = models.map(({ model }) => model).filter((model) => ownLabelModels.includes(model));
  for (const { model, label, baseLabel } of secLabels) {
    const named = label ?? baseLabel;
    if (named === undefined || (model === undefined ? has.length > 0 : has.includes(model))) continue;
    throw new VmferryError(
      'label-failed',
      `The definition of ${name} asks for the ${model ?? 'security'} label ${named}, and the security drivers of this host have no such labels (${has.join(', ') || 'none do'}). Start its agents with --security-driver dac,${model ?? 'selinux'}, or take the <seclabel> out.`,
      { data: { model: model ?? null } },
    );
  }
}
