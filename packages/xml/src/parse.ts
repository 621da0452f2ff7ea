import { VmferryError } from '@vmferry/errors';
import { type Document, type Element, parseXml as readWithLibxml } from 'libxmljs2';
import { findIllegalCharacter } from './characters.js';
import { attributesOf, isElement, type XmlElement, type XmlNode } from './element.js';
import { defaultXmlLimits, type XmlLimits } from './limits.js';
import { checkShape } from './shape.js';

/**
 * Reads untrusted XML into plain data (toolchain, "libxmljs2: the rules"; threats, row 1). White space between elements and
 * comments are dropped. No DTD, entity, processing instruction or encoding other than UTF-8 gets as far as libxml2.
 *
 * Throws `xml-malformed` (not well-formed, an undeclared prefix, an illegal character), `xml-forbidden` (DOCTYPE, ENTITY and the
 * like) or `xml-too-large` (over a limit), always before a node was touched.
 */
export function parseXml(text: string, limits: XmlLimits = defaultXmlLimits): XmlElement {
  checkText(text, limits);
  checkShape(text, limits);
  const document = readDocument(text);
  const root = document.root();
  if (root === null) throw new VmferryError('xml-malformed', 'The XML has no root element.');
  return convert(root);
}

function checkText(text: string, limits: XmlLimits): void {
  // The length in UTF-16 units is never more than the length in UTF-8, and costs nothing to read.
  if (text.length > limits.bytesMax || Buffer.byteLength(text) > limits.bytesMax) {
    throw new VmferryError('xml-too-large', `The XML is over its limit of ${limits.bytesMax} bytes.`, {
      data: { bytesMax: limits.bytesMax },
    });
  }
  const illegal = findIllegalCharacter(text);
  if (illegal !== null) {
    const detail = `The XML has ${illegal.code} at character ${illegal.index}, which XML does not allow.`;
    throw new VmferryError('xml-malformed', detail);
  }
  // Searched in the plain text, wherever it stands, so that this does not rest on any understanding of the markup.
  for (const construct of ['<!DOCTYPE', '<!ENTITY']) {
    if (text.includes(construct)) throw forbidden(construct);
  }
}

function readDocument(text: string): Document {
  let document: Document;
  try {
    document = readWithLibxml(text, { nonet: true, nocdata: true });
  } catch (error) {
    throw malformed(error);
  }
  // The typings leave null out, which is what a document without a DTD gives.
  if ((document.getDtd() as unknown) !== null) throw forbidden('<!DOCTYPE');
  const [first] = document.errors;
  if (first !== undefined) throw malformed(first);
  return document;
}

function forbidden(construct: string): VmferryError {
  return new VmferryError('xml-forbidden', `The XML contains ${construct}, which is refused; remove it.`);
}

function malformed(error: unknown): VmferryError {
  const message = error instanceof Error ? error.message.trim().slice(0, 200) : 'unknown fault';
  const line = (error as { line?: unknown }).line;
  const where = typeof line === 'number' ? ` at line ${line}` : '';
  return new VmferryError('xml-malformed', `The XML is not well-formed${where}: ${message}.`, { cause: error });
}

function convert(node: Element): XmlElement {
  return {
    name: qualified(node),
    // libxml2 keeps declarations apart from attributes; libvirt writes them last.
    attributes: attributesOf([...node.attrs().map((at) => [qualified(at), at.value()] as const), ...declaredNamespaces(node)]),
    children: tidy(node.childNodes().flatMap((child) => convertChild(child as Element))),
  };
}

function convertChild(node: Element): XmlNode[] {
  switch (node.type() as string) {
    case 'element':
      return [convert(node)];
    case 'text':
      return [node.text()];
    case 'comment':
      return [];
    default:
      throw new VmferryError('xml-forbidden', `The XML has a node of type ${node.type()}, which is refused.`);
  }
}

function declaredNamespaces(node: Element): (readonly [string, string])[] {
  return node.namespaces(true).map((namespace) => [nameOf('xmlns', namespace.prefix()), namespace.href()] as const);
}

/** libxml2 gives null for the prefix of a default namespace, which its typings leave out. */
function nameOf(declaration: string, prefix: string | null): string {
  return prefix === null ? declaration : `${declaration}:${prefix}`;
}

function qualified(node: { name(): string; namespace(): { prefix(): string | null } | null }): string {
  const prefix = node.namespace()?.prefix() ?? null;
  return prefix === null ? node.name() : `${prefix}:${node.name()}`;
}

/** Joins text that a comment or a CDATA section had split, and drops the indentation between elements. */
function tidy(nodes: readonly XmlNode[]): XmlNode[] {
  const joined: XmlNode[] = [];
  for (const node of nodes) {
    if (node === '') continue; // From an empty CDATA section.
    const last = joined.at(-1);
    if (typeof node === 'string' && typeof last === 'string') joined[joined.length - 1] = last + node;
    else joined.push(node);
  }
  const elements = joined.filter(isElement);
  const onlySpace = joined.every((node) => isElement(node) || /^[ \t\r\n]*$/.test(node));
  return elements.length > 0 && onlySpace ? elements : joined;
}
