import { attribute, childrenOf, type XmlElement } from '@vmferry/xml';
import { invalid, matching, oneOf, textOfOnly, yesNo } from './fields.js';

/** What the document asks of a security driver (`<seclabel>`). */
export interface SecLabel {
  /** `dynamic`: the host makes a label for each start; `static`: this very one; `none`: QEMU gets no label of its own. */
  readonly type: 'dynamic' | 'static' | 'none';
  /** Whose label it is, such as `selinux`; absent: that of any driver that has labels of its own. */
  readonly model?: string;
  /** Whether the guest's files get a label too. Dynamic always, none never, static when it says so. */
  readonly relabel: boolean;
  /** Of QEMU; of a static one only. */
  readonly label?: string;
  /** What a dynamic label is derived from, instead of the host's own default. */
  readonly baseLabel?: string;
}

const types = ['dynamic', 'static', 'none'] as const;

/** One for each model at most. What the document of a running guest tells of a label that a host has made is no wish, and is not read. */
export function readSecLabels(root: XmlElement): SecLabel[] {
  const labels = childrenOf(root, 'seclabel').map(readSecLabel);
  const models = labels.map(({ model }) => model);
  if (new Set(models).size !== models.length || (labels.length > 1 && models.includes(undefined)))
    throw invalid('<seclabel>', 'is there more than once; several need a model each, and each its own');
  return labels;
}

function readSecLabel(of: XmlElement): SecLabel {
  const type = oneOf('<seclabel type>', attribute(of, 'type') ?? 'dynamic', types);
  const model = attribute(of, 'model');
  const relabel = attribute(of, 'relabel');
  const relabelled = relabel === undefined ? type === 'dynamic' : yesNo('<seclabel relabel>', relabel);
  if (type === 'dynamic' && !relabelled)
    throw invalid('<seclabel relabel>', 'is "no"; a dynamic label is given to the files too');
  if (type === 'none' && relabelled)
    throw invalid('<seclabel relabel>', 'is "yes"; with the type "none" there is no label to give');
  const label = labelText(of, 'label');
  const baseLabel = labelText(of, 'baselabel');
  // Kept in the document of a running guest, and told by its host: it is read to be looked at.
  labelText(of, 'imagelabel');
  if (type === 'static' && label === undefined) throw invalid('<seclabel type="static">', 'has no <label>');
  return {
    type,
    ...(model === undefined ? {} : { model: matching('<seclabel model>', model, /^[a-z]{1,16}$/, 'the name of a model') }),
    relabel: relabelled,
    ...(type === 'static' && label !== undefined ? { label } : {}),
    ...(type === 'dynamic' && baseLabel !== undefined ? { baseLabel } : {}),
  };
}

function labelText(of: XmlElement, name: 'label' | 'baselabel' | 'imagelabel'): string | undefined {
  const text = textOfOnly(of, name);
  return text === undefined
    ? undefined
    : matching(`<seclabel><${name}>`, text, /^[!-~]{1,255}$/, 'a label of 1 to 255 printable characters without blanks');
}
