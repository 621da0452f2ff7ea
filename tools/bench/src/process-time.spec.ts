import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { cpuSecondsOf, cpuSecondsOfAll } from './process-time.js';

const tail = 'S 1 42 42 0 -1 4194560 1 0 0 0 250 150 7 9 20 0 11 0 4711 0 0';

it('adds user and system time, whatever the command is called', () => {
  expect(cpuSecondsOf(`42 (node) ${tail}`)).toBe(4);
  expect(cpuSecondsOf(`42 (a) b (c 1 2) ${tail}`)).toBe(4);
});

it('reads the real one: it never goes back, and grows with work', () => {
  const before = cpuSecondsOfAll([process.pid]);
  let text = '';
  while (cpuSecondsOfAll([process.pid]) < before + 0.02) text = readFileSync('/proc/self/stat', 'latin1');
  expect(cpuSecondsOf(text)).toBeGreaterThanOrEqual(before);
});

it('refuses another text', () => {
  expect(() => cpuSecondsOf('42 (node) S 1 2')).toThrow(/no \/proc/);
});
