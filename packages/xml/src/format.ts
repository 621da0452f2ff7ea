import { VmferryError } from '@vmferry/errors';
import { findIllegalCharacter, isXmlName } from './characters.js';
import { isElement, type XmlElement } from './element.js';

/**
 * Writes an element as libvirt does: two spaces of indent, single quotes, empty elements closed in place, a newline at the end.
 * What `parseXml` gave comes back from it unchanged. Throws `xml-malformed` for a character or a name that XML does not allow.
 */
export function formatXml(root: XmlElement): string {
  return format(root, '');
}

function format(of: XmlElement, indent: string): string {
  const tag = `${checkedName(of.name)}${formatAttributes(of)}`;
  if (of.children.length === 0) return `${indent}<${tag}/>\n`;
  if (!of.children.every(isElement)) return `${indent}${formatInline(of)}\n`;
  const inner = of.children.map((node) => format(node, `${indent}  `)).join('');
  return `${indent}<${tag}>\n${inner}${indent}</${of.name}>\n`;
}

/** Beside text every added space would become content, so nothing is indented there. */
function formatInline(of: XmlElement): string {
  const tag = `${checkedName(of.name)}${formatAttributes(of)}`;
  if (of.children.length === 0) return `<${tag}/>`;
  const inner = of.children.map((node) => (isElement(node) ? formatInline(node) : escapeText(node))).join('');
  return `<${tag}>${inner}</${of.name}>`;
}

function formatAttributes(of: XmlElement): string {
  return Object.entries(of.attributes)
    .map(([name, value]) => ` ${checkedName(name)}='${escapeAttribute(value)}'`)
    .join('');
}

function checkedName(name: string): string {
  if (isXmlName(name)) return name;
  throw new VmferryError(
    'xml-malformed',
    `${JSON.stringify(name.slice(0, 80))} cannot be the name of an XML element or attribute.`,
  );
}

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  // A reader turns these into spaces or newlines unless they are written as references.
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

function escapeText(text: string): string {
  return checkedText(text).replace(/[&<>\r]/g, (character) => references[character] ?? character);
}

function escapeAttribute(text: string): string {
  return checkedText(text).replace(/[&<>"'\t\n\r]/g, (character) => references[character] ?? character);
}

function checkedText(text: string): string {
  const illegal = findIllegalCharacter(text);
  if (illegal === null) return text;
  throw new VmferryError('xml-malformed', `The text for the XML has ${illegal.code} at character ${illegal.index}; remove it.`);
}
