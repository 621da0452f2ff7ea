import { expect, test } from 'vitest';
import { askEmulator, readGenerated, readSubset, subsetText } from './files.js';
import { generate } from './generate.js';
import type { Entry } from './introspection.js';
import { reduceSchema } from './reduce.js';
import { commands, events } from './selection.js';

test('the checked-in modules are what the checked-in schema generates', () => {
  const modules = generate(readSubset());
  const advice = 'run `pnpm --filter @vmferry/qapi-gen generate`';
  expect(readGenerated('commands.ts') === modules['commands.ts'], advice).toBe(true);
  expect(readGenerated('events.ts') === modules['events.ts'], advice).toBe(true);
});

test('generating twice gives the same text', () => {
  expect(generate(readSubset())).toEqual(generate(readSubset()));
});

test('the subset holds each selected command and event', () => {
  const subset = readSubset();
  expect(Object.keys(subset.commands)).toEqual([...commands]);
  expect(Object.keys(subset.events)).toEqual([...events]);
});

test('the installed QEMU knows the subset, and a QEMU of the same version gives it exactly', () => {
  const { entries, qemu } = askEmulator('qemu-system-x86_64');
  const subset = reduceSchema(entries, qemu);
  expect(Object.keys(subset.commands)).toEqual(Object.keys(readSubset().commands));
  if (qemu === readSubset().qemu) expect(subsetText(subset)).toBe(subsetText(readSubset()));
});

const small: Entry[] = [
  { 'meta-type': 'builtin', name: 'str' },
  { 'meta-type': 'object', name: '0', members: [] },
];

test('a schema without a selected command is refused by the name of the command', () => {
  expect(() => reduceSchema(small, '0.0')).toThrow('no "add-fd"');
});
