import { child, element, isElement, type XmlElement, type XmlNode } from '@vmferry/xml';

/** The document with one attribute of the element set; a new one comes last. */
export function withAttribute(of: XmlElement, name: string, value: string): XmlElement {
  return element(of.name, { ...of.attributes, [name]: value }, of.children);
}

export function withoutAttributes(of: XmlElement, names: readonly string[]): XmlElement {
  const kept = Object.entries(of.attributes).filter(([name]) => !names.includes(name));
  return element(of.name, Object.fromEntries(kept), of.children);
}

export function withChildren(of: XmlElement, children: readonly XmlNode[]): XmlElement {
  return element(of.name, of.attributes, children);
}

/** The element with its first child of this name changed; every other part stays as it is. */
export function withChild(of: XmlElement, name: string, change: (found: XmlElement) => XmlElement): XmlElement {
  const found = child(of, name);
  return found === undefined
    ? of
    : withChildren(
        of,
        of.children.map((node) => (node === found ? change(found) : node)),
      );
}

/** The document with each device changed that `change` has a new element for, by its position. */
export function withDevices(root: XmlElement, change: (device: XmlElement, position: number) => XmlElement): XmlElement {
  return withChild(root, 'devices', (devices) => {
    let position = -1;
    return withChildren(
      devices,
      devices.children.map((node) => {
        if (!isElement(node)) return node;
        position += 1;
        return change(node, position);
      }),
    );
  });
}
