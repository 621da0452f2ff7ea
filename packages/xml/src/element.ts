/** An element as plain data. Names carry their prefix; namespace declarations are ordinary attributes. */
export interface XmlElement {
  readonly name: string;
  /** Has no prototype when it comes from `parseXml` or `element`: an attribute may be called `__proto__`. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlNode[];
}

/** An element, or a run of text. Comments are not kept. */
export type XmlNode = XmlElement | string;

/** A new element; attributes whose value is undefined and empty text are left out. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | undefined>> = {},
  children: readonly XmlNode[] = [],
): XmlElement {
  return { name, attributes: attributesOf(Object.entries(attributes)), children: children.filter((node) => node !== '') };
}

/** Attributes in the given order, safe for any name. */
export function attributesOf(entries: Iterable<readonly [string, string | undefined]>): Readonly<Record<string, string>> {
  const attributes = Object.create(null) as Record<string, string>;
  for (const [name, value] of entries) {
    if (value !== undefined) attributes[name] = value;
  }
  return attributes;
}

export function isElement(node: XmlNode): node is XmlElement {
  return typeof node !== 'string';
}

/** The first child element of this name. */
export function child(parent: XmlElement, name: string): XmlElement | undefined {
  return parent.children.find((node): node is XmlElement => isElement(node) && node.name === name);
}

/** Every child element of this name, in document order. */
export function childrenOf(parent: XmlElement, name: string): XmlElement[] {
  return parent.children.filter((node): node is XmlElement => isElement(node) && node.name === name);
}

/** The element's own text, without that of its children; '' when there is none. */
export function textOf(of: XmlElement): string {
  return of.children.filter((node): node is string => !isElement(node)).join('');
}

export function attribute(of: XmlElement, name: string): string | undefined {
  return Object.hasOwn(of.attributes, name) ? of.attributes[name] : undefined;
}
