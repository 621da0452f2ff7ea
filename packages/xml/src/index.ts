export { attribute, child, childrenOf, element, isElement, textOf, type XmlElement, type XmlNode } from './element.js';
export { formatXml } from './format.js';
export { defaultXmlLimits, type XmlLimits } from './limits.js';
export { parseXml } from './parse.js';
