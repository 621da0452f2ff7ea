import { VmferryError } from '@vmferry/errors';
import { element, formatXml, parseXml } from '@vmferry/xml';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renameDomain, resolveMachine } from './change.js';
import { bootSector, everything, uuid, withDevices } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';

describe('formatDomain', () => {
  it.each([
    ['the boot sector', bootSector],
    ['everything', everything],
  ])('gives %s back, with what is not understood in its place', (_, text) => expect(formatDomain(parseDomain(text))).toBe(text));

  it('refuses a definition that was changed beside its document', () => {
    expect(() => formatDomain({ ...parseDomain(bootSector), memoryKib: 8192 })).toThrow(/beside its document/);
  });

  it('keeps any element that is not understood', () => {
    const name = fc.stringMatching(/^x[a-z]{0,8}$/);
    fc.assert(
      fc.property(
        name,
        fc.dictionary(name, fc.string({ maxLength: 12 })),
        fc.string({ maxLength: 12 }),
        (of, attributes, text) => {
          fc.pre(/^[^\p{Cc}]*$/u.test(Object.values(attributes).join('') + text) && (text === '' || /\S/.test(text)));
          const unknown = element(of, attributes, text === '' ? [] : [text]);
          const inside = parseXml(bootSector);
          const domain = parseDomain(formatXml({ ...inside, children: [...inside.children, unknown] }));
          expect(domain.xml.children.at(-1)).toEqual(unknown);
          expect(parseXml(formatDomain(domain)).children.at(-1)).toEqual(unknown);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('changes', () => {
  it('renameDomain writes the name and nothing else', () => {
    const renamed = renameDomain(parseDomain(everything), 'a <b>');
    expect(renamed.name).toBe('a <b>');
    expect(formatDomain(renamed)).toBe(everything.replace('guest, "one"', 'a &lt;b&gt;'));
    expect(() => renameDomain(renamed, 'a/b')).toThrow(VmferryError);
  });

  it('resolveMachine replaces an alias by the versioned name, and only an alias', () => {
    const aliases = { q35: 'pc-q35-7.2', pc: 'pc-i440fx-7.2' };
    const resolved = resolveMachine(parseDomain(bootSector), aliases);
    expect(formatDomain(resolved)).toBe(bootSector.replace("'q35'", "'pc-q35-7.2'"));
    expect(resolveMachine(resolved, aliases)).toBe(resolved);
    expect(resolveMachine(parseDomain(bootSector.replace("'q35'", "'constructor'")), aliases).os.machine).toBe('constructor');
  });
});

/** Values as a guest's owner might write them to reach a command line (threats, row 2), and any others. */
const hostile = fc.oneof(
  fc.constantFrom(
    'a,b',
    'vm1,process=sshd',
    'x,file.locking=off',
    '$(id)',
    '`id`',
    'a;b',
    "a'b",
    '-daemonize',
    '../x',
    '/a/../b',
    '%s%n',
    'a\nb',
    '\u001B[2J',
    '\u2028',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

const places: Record<string, (value: string) => string> = {
  name: (value) => bootSector.replace('>sector<', () => `>${value}<`),
  machine: (value) => bootSector.replace("'q35'", () => `'${value}'`),
  kernel: (value) => bootSector.replace('</type>', () => `</type><kernel>${value}</kernel>`),
  cmdline: (value) => bootSector.replace('</type>', () => `</type><kernel>/k</kernel><cmdline>${value}</cmdline>`),
  'disk source': (value) => bootSector.replace('/guests/sector.img', () => value),
  target: (value) => bootSector.replace("dev='vda'", () => `dev='${value}'`),
  serial: (value) => bootSector.replace('<shareable/>', () => `<serial>${value}</serial>`),
  'serial path': (value) => bootSector.replace('/run/s.sock', () => value),
  mac: (value) => withDevices(`<interface type='user'><mac address='${value}'/></interface>`),
  bridge: (value) => withDevices(`<interface type='bridge'><source bridge='${value}'/></interface>`),
  listen: (value) => withDevices(`<graphics type='vnc' listen='${value}'/>`),
  emulator: (value) => bootSector.replace('<devices>', () => `<devices><emulator>${value}</emulator>`),
};

describe('hostile values', () => {
  it.each(Object.entries(places))(
    '%s: are refused with an error of ours, or read back exactly and without control characters',
    (_, place) => {
      fc.assert(
        fc.property(hostile, (value) => {
          let text: string;
          try {
            text = place(escaped(value));
          } catch (error) {
            expect(VmferryError.is(error, 'xml-malformed')).toBe(true);
            return;
          }
          let domain: ReturnType<typeof parseDomain>;
          try {
            domain = parseDomain(text);
          } catch (error) {
            expect(error).toBeInstanceOf(VmferryError);
            expect(error instanceof VmferryError && error.code).not.toBe('internal');
            return;
          }
          expect(JSON.stringify({ ...domain, xml: null })).not.toMatch(/\\u00[01]|\\n|\\r|\\t/);
          expect(parseDomain(formatDomain(domain))).toEqual(domain);
        }),
        { numRuns: 300 },
      );
    },
  );

  it('are values, not templates: an accepted name is the whole name', () => {
    const name = 'vm1,process=sshd %s $(id)';
    expect(parseDomain(bootSector.replace('>sector<', () => `>${name}<`))).toMatchObject({ name, uuid });
  });
});

/** The value as XML text that is right both in content and in an attribute. */
function escaped(value: string): string {
  return formatXml(element('v', { v: value })).slice("<v v='".length, -"'/>\n".length);
}
