import { childrenOf, type XmlElement } from '@vmferry/xml';
import { malformed } from './fields.js';

/** The child of this name; a second one is refused, for two readers might each believe another. */
export function onlyChild(of: XmlElement, name: string): XmlElement | undefined {
  const [first, second] = childrenOf(of, name);
  if (second !== undefined) throw malformed(`it has more than one <${name}>`);
  return first;
}
