import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isElement, type XmlElement } from './element.js';
import { formatXml } from './format.js';
import { defaultXmlLimits } from './limits.js';
import { parseXml } from './parse.js';

function codeOf(text: string): string {
  try {
    parseXml(text);
  } catch (error) {
    if (error instanceof VmferryError) return error.code;
    throw error;
  }
  return 'accepted';
}

const billionLaughs = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from(
  { length: 9 },
  (_, level) => `<!ENTITY lol${level + 1} "${`&lol${level || ''};`.repeat(10)}">`,
).join('')}]><lolz>&lol9;</lolz>`;

const forbidden: Record<string, string> = {
  'an external entity': '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
  'an external entity over the net': '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]><a>&x;</a>',
  'a parameter entity': '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]><a/>',
  'an external DTD': '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
  'a public DTD': '<!DOCTYPE a PUBLIC "-//X//Y" "http://127.0.0.1:9/"><a/>',
  'billion laughs': billionLaughs,
  'quadratic blow-up': `<!DOCTYPE a [<!ENTITY x "${'y'.repeat(50_000)}">]><a>${'&x;'.repeat(10_000)}</a>`,
  'an entity child whose attributes are read': '<!DOCTYPE a [<!ENTITY x "<b c=\'d\'/>">]><a>&x;</a>',
  'a DOCTYPE after a byte order mark': '\uFEFF<!DOCTYPE a><a/>',
  'a DOCTYPE after a comment': '<!-- x --><!DOCTYPE a><a/>',
  'a DOCTYPE in a comment': '<a><!-- <!DOCTYPE a> --></a>',
  'an ENTITY in CDATA': '<a><![CDATA[<!ENTITY x "y">]]></a>',
  'a lower-case doctype': '<!doctype a><a/>',
  'another declaration': '<!NOTATION a SYSTEM "x"><a/>',
  'a stylesheet': '<?xml-stylesheet href="file:///etc/hostname"?><a/>',
  'a processing instruction': '<a><?php system("id") ?></a>',
  'a declared UTF-16': '<?xml version="1.0" encoding="UTF-16"?><a/>',
  'a declared UTF-7 that hides a DOCTYPE': '<?xml version="1.0" encoding="UTF-7"?>+ADw-!DOCTYPE a+AD4-<a/>',
  'a declared EBCDIC': "<?xml version='1.0' encoding='IBM037'?><a/>",
};

const malformed: Record<string, string> = {
  nothing: '',
  'white space': ' \n',
  'text alone': 'hello',
  'an undefined entity': '<a>&lol;</a>',
  'a NUL': '<a>\0</a>',
  'an escape character': '<a>\u001B[31m</a>',
  'a referenced control character': '<a>&#1;</a>',
  'a referenced surrogate': '<a>&#xD800;</a>',
  'a lone surrogate': '<a>\uD800</a>',
  'U+FFFE': '<a>\uFFFE</a>',
  'an undeclared element prefix': '<a><n:b/></a>',
  'an undeclared attribute prefix': "<a n:b='1'/>",
  'a repeated attribute': "<a b='1' b='2'/>",
  'an attribute without quotes': '<a b=1/>',
  'a tag inside a value': "<a b='<c/>'/>",
  'an open tag': '<a',
  'an open value': "<a b='",
  'an open comment': '<a><!-- ',
  'an open CDATA section': '<a><![CDATA[ ',
  'an open declaration': '<?xml ',
  'a missing end tag': '<a>',
  'crossed tags': '<a><b></a></b>',
  'an end tag too many': '<a/></a>',
  'two roots': '<a/><b/>',
  'XML 2.0': '<?xml version="2.0"?><a/>',
};

const tooLarge: Record<string, string> = {
  'a text over the byte limit': `<a>${'x'.repeat(defaultXmlLimits.bytesMax)}</a>`,
  'wide characters over the byte limit': `<a>${'€'.repeat(defaultXmlLimits.bytesMax / 3)}</a>`,
  'deep nesting': '<a>'.repeat(65) + '</a>'.repeat(65),
  'very deep nesting, never closed': '<a>'.repeat(300_000),
  'many elements': `<a>${'<b/>'.repeat(2500)}</a>`,
  'many comments': `<a>${'<!---->'.repeat(2500)}</a>`,
  'many CDATA sections': `<a>${'<![CDATA[]]>'.repeat(2500)}</a>`,
  'many attributes on one element': `<a ${Array.from({ length: 101 }, (_, n) => `a${n}=''`).join(' ')}/>`,
  'many attributes': `<a>${`<b ${Array.from({ length: 90 }, (_, n) => `a${n}=''`).join(' ')}/>`.repeat(56)}</a>`,
};

describe('attacks', () => {
  it.each(Object.entries(forbidden))('threat 1: refuses %s as forbidden', (_, text) =>
    expect(codeOf(text)).toBe('xml-forbidden'),
  );
  it.each(Object.entries(malformed))('threat 1: refuses %s as malformed', (_, text) =>
    expect(codeOf(text)).toBe('xml-malformed'),
  );
  it.each(Object.entries(tooLarge))('threat 1: refuses %s as too large', (_, text) => expect(codeOf(text)).toBe('xml-too-large'));

  it.each(['utf16le', 'latin1', 'base64'] as const)(
    'refuses a document with a DOCTYPE whose bytes are %s read as UTF-8',
    (encoding) => {
      const bytes =
        encoding === 'base64' ? Buffer.from(forbidden['billion laughs'] ?? '').toString('base64') : '<!DOCTYPE é><é/>';
      const text = Buffer.from(bytes, encoding === 'base64' ? 'utf8' : encoding).toString('utf8');
      expect(codeOf(text)).toMatch(/^xml-(malformed|forbidden)$/);
    },
  );

  it('threat 1: never lets the contents of a local file into a message', () => {
    const folder = mkdtempSync(join(tmpdir(), 'xml-'));
    const file = join(folder, 'secret');
    writeFileSync(file, 'canary-7f3a');
    expect(() => parseXml(`<!DOCTYPE a [<!ENTITY x SYSTEM "file://${file}">]><a>&x;</a>`)).not.toThrow('canary-7f3a');
    rmSync(folder, { recursive: true });
  });

  it('accepts what stands exactly at a limit', () => {
    expect(codeOf(`<a>${'x'.repeat(defaultXmlLimits.bytesMax - 7)}</a>`)).toBe('accepted');
    expect(codeOf('<a>'.repeat(64) + '</a>'.repeat(64))).toBe('accepted');
    expect(codeOf(`<a>${'<b/>'.repeat(2499)}</a>`)).toBe('accepted');
    expect(codeOf(`<a ${Array.from({ length: 100 }, (_, n) => `a${n}=''`).join(' ')}/>`)).toBe('accepted');
  });

  it('threat 1: spends at most 50 ms of processor time on the largest documents that it accepts or refuses', () => {
    const accepted = {
      references: `<a>${'&amp;'.repeat(200_000)}</a>`,
      elements: `<a>${"<b c='1' d='2'>e</b>".repeat(2490)}</a>`,
      text: `<a>${'x'.repeat(defaultXmlLimits.bytesMax - 7)}</a>`,
    };
    parseXml('<warm/>');
    for (const [name, text] of Object.entries({ ...accepted, ...tooLarge, ...forbidden })) {
      const best = Math.min(...[1, 2, 3, 4, 5].map(() => processorMs(() => codeOf(text))));
      expect(best, name).toBeLessThan(50);
    }
  });
});

function processorMs(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe('arbitrary text', () => {
  const fragment = fc.constantFrom(
    '<a',
    '<b>',
    '</a>',
    '</b>',
    '/>',
    '>',
    "'",
    '"',
    '=',
    ' x=',
    '&amp;',
    '&#0;',
    '&',
    ';',
    '<!--',
    '-->',
  );
  const more = fc.constantFrom(
    '<![CDATA[',
    ']]>',
    '<?xml ',
    '?>',
    ' encoding="',
    'xmlns:n=',
    'n:',
    '<!',
    '\0',
    '\uD800',
    'é',
    '\n',
  );
  const soup = fc.array(fc.oneof(fragment, more, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 40 });

  it('threat 1: gives plain data or an error of ours, never anything else', () => {
    fc.assert(
      fc.property(soup, (parts) => {
        const text = `<a>${parts.join('')}</a>`;
        if (codeOf(text) !== 'accepted') return;
        const root = parseXml(text);
        expect(depthOf(root)).toBeLessThanOrEqual(64);
        expect(parseXml(formatXml(root))).toEqual(root);
      }),
      { numRuns: 5000 },
    );
  });
});

function depthOf(of: XmlElement): number {
  return 1 + Math.max(0, ...of.children.filter(isElement).map(depthOf));
}
