import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attribute, child, childrenOf, element, textOf, type XmlElement, type XmlNode } from './element.js';
import { formatXml } from './format.js';
import { parseXml } from './parse.js';

const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,12}$/),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'é', '名'),
);
// A carriage return survives only as a reference, which formatXml must write.
const legal = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((text) => text.replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, ''));
const content = legal.filter((text) => /[^ \t\r\n]/.test(text));

const tree: fc.Arbitrary<XmlElement> = fc.letrec<{ tree: XmlElement }>((tie) => ({
  tree: fc
    .record({
      name,
      attributes: fc.dictionary(name, legal, { maxKeys: 4 }),
      children: fc.oneof(
        { depthSize: 'small' },
        fc.constant<XmlNode[]>([]),
        fc.tuple(legal.filter((text) => text !== '')).map((text): XmlNode[] => text),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.tuple(content, tie('tree'), content, tie('tree')),
      ),
    })
    .map((parts) => element(parts.name, parts.attributes, parts.children)),
})).tree;

describe('formatXml and parseXml', () => {
  it('gives every tree back', () => {
    fc.assert(
      fc.property(tree, (root) => {
        expect(parseXml(formatXml(root))).toEqual(root);
      }),
      { numRuns: 500 },
    );
  });

  it('writes the style of libvirt', () => {
    const text = "<domain type='qemu'>\n  <name>a &amp; b</name>\n  <os>\n    <bios/>\n  </os>\n</domain>\n";
    expect(formatXml(parseXml('<domain type="qemu"><name>a &amp; b</name><!-- x --><os>  <bios></bios></os></domain>'))).toBe(
      text,
    );
  });

  it('joins the text around comments and CDATA sections', () => {
    expect(parseXml('<a>x<!-- y -->&lt;<![CDATA[<z>]]></a>').children).toEqual(['x<<z>']);
  });

  it('keeps white space where it is the content, and drops it between elements', () => {
    expect(parseXml('<a> </a>').children).toEqual([' ']);
    expect(parseXml('<a> <b/>\n</a>').children).toEqual([element('b')]);
    expect(parseXml('<a>x <b/> y</a>').children).toEqual(['x ', element('b'), ' y']);
  });

  it('keeps prefixes and their declarations', () => {
    const text =
      "<domain qemu:a='1' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' xmlns='urn:x'>\n  <qemu:commandline/>\n</domain>\n";
    const root = parseXml(text);
    expect(root.children).toEqual([element('qemu:commandline')]);
    expect(attribute(root, 'qemu:a')).toBe('1');
    expect(formatXml(root)).toBe(text);
  });

  it('reads an XML declaration and a byte order mark', () => {
    expect(parseXml('\uFEFF<?xml version="1.0" encoding="utf-8"?>\n<a/>').name).toBe('a');
  });

  it.each([
    ['a control character in text', element('a', {}, ['\u0007'])],
    ['a NUL in an attribute', element('a', { b: '\0' })],
    ['a lone surrogate', element('a', {}, ['\uDC00'])],
    ['markup in an element name', element('a><b', {})],
    ['an empty element name', element('')],
    ['markup in an attribute name', element('a', { "x='1' y": '2' })],
  ])('refuses to write %s', (_, root) => {
    expect(() => formatXml(root)).toThrow(VmferryError);
  });
});

describe('helpers', () => {
  const root = parseXml("<a b='1'>x<c n='1'/><c n='2'/><d>t</d>y</a>");
  it('find children, text and attributes', () => {
    expect(child(root, 'c')?.attributes).toEqual({ n: '1' });
    expect(childrenOf(root, 'c')).toHaveLength(2);
    expect(child(root, 'e')).toBeUndefined();
    expect(textOf(root)).toBe('xy');
    expect(attribute(root, 'b')).toBe('1');
    expect(attribute(root, 'toString')).toBeUndefined();
    expect(attribute({ name: 'a', attributes: {}, children: [] }, 'constructor')).toBeUndefined();
  });
  it('leaves undefined attributes out', () => expect(formatXml(element('a', { b: undefined, c: '' }))).toBe("<a c=''/>\n"));
});
