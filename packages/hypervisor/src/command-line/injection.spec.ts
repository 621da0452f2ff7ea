import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { argvOf, splitCommas, valuesOf } from './spec-helper.js';

// threats, row 2: whatever a definition may hold comes out of the command line as it went in, and adds no option.

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

interface Values {
  readonly name: string;
  readonly disk: string;
  readonly kernel: string;
  readonly cmdline: string;
  readonly serialFile: string;
  readonly serialSocket: string;
  readonly loader: string;
}

function xmlOf(values: Values): string {
  const { name, disk, kernel, cmdline, serialFile, serialSocket, loader } = values;
  return `<domain type='qemu'>
  <name>${escapeXml(name)}</name><uuid>6a1f0a52-4c3e-4f6f-9d0e-0f3f5d0f0a07</uuid><memory>4096</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><loader>${escapeXml(loader)}</loader>
    <kernel>${escapeXml(kernel)}</kernel><cmdline>${escapeXml(cmdline)}</cmdline></os>
  <devices>
    <disk type='file' device='disk'><source file="${escapeXml(disk)}"/><target dev='vda' bus='virtio'/></disk>
    <serial type='file'><source path="${escapeXml(serialFile)}"/><target port='0'/></serial>
    <serial type='unix'><source mode='bind' path="${escapeXml(serialSocket)}"/><target port='1'/></serial>
  </devices></domain>`;
}

const nasty = fc.constantFrom(
  ',',
  ',,',
  '=',
  '"',
  '\\',
  "'",
  ' ',
  '{',
  '}',
  '[',
  ':',
  '$(id)',
  '`',
  ';',
  '|',
  '&',
  '-S',
  ',server=off',
  'é',
  '\u2028',
  '%s',
  '#',
  '@',
  '..x',
);
const text = fc
  .array(fc.oneof(nasty, fc.string({ unit: 'grapheme', maxLength: 8 })), { maxLength: 8 })
  .map((parts) => parts.join(''));
const path = text.map((tail) => `/${tail}z`);
const values = fc.record({
  name: text.map((tail) => `n${tail}`),
  disk: path,
  kernel: path,
  cmdline: text.map((tail) => `c${tail}z`),
  serialFile: path,
  serialSocket: path,
  loader: path,
});

const optionsExpected = argvOf(
  xmlOf({ name: 'n', disk: '/d', kernel: '/k', cmdline: 'c', serialFile: '/s', serialSocket: '/u', loader: '/l' }),
).filter((word) => word.startsWith('-'));

test('threat 2: arbitrary text in every field comes out of the command line as it went in', () => {
  let accepted = 0;
  fc.assert(
    fc.property(values, (given) => {
      let argv: string[];
      try {
        argv = argvOf(xmlOf(given));
      } catch (error) {
        // What the definition may not hold is refused by the reader of the XML or of the definition, never later.
        expect(VmferryError.from(error).code).toMatch(/^(definition-invalid|xml-malformed)$/);
        return;
      }
      accepted += 1;
      expect(argv.filter((word) => word.startsWith('-'))).toEqual(optionsExpected);
      expect(splitCommas(valuesOf(argv, '-name')[0] ?? '')).toEqual([`guest=${given.name.trim()}`, 'debug-threads=on']);
      const [file] = valuesOf(argv, '-blockdev').map((word) => JSON.parse(word) as { filename?: string });
      expect(file?.filename).toBe(given.disk);
      const [serialFile, serialSocket] = valuesOf(argv, '-chardev').slice(2).map(splitCommas);
      expect(serialFile).toEqual(['file', 'id=serial-0-host', `path=${given.serialFile}`, 'append=off']);
      expect(serialSocket).toEqual(['socket', 'id=serial-1-host', `path=${given.serialSocket}`, 'server=on', 'wait=off']);
      expect(valuesOf(argv, '-kernel')).toEqual([given.kernel.trim()]);
      expect(valuesOf(argv, '-append')).toEqual([given.cmdline.trim()]);
      expect(valuesOf(argv, '-bios')).toEqual([given.loader.trim()]);
    }),
    { numRuns: 500 },
  );
  expect(accepted).toBeGreaterThan(100);
});
