import { expect, it } from 'vitest';
import { peakMibOf, watchGrowth } from './process-memory.js';

it('reads the peak in MiB', () => {
  expect(peakMibOf('Name:\tnode\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n')).toBe(2);
  expect(() => peakMibOf('Name:\tnode\n')).toThrow(/no VmHWM/);
});

it('tells the growth since it began to watch, and not of what was before', () => {
  const held = [Buffer.alloc(32 * 2 ** 20, 1)];
  const growth = watchGrowth(process.pid);
  expect(growth()).toBeLessThan(16);
  held.push(Buffer.alloc(48 * 2 ** 20, 1));
  expect(growth()).toBeGreaterThan(40);
  expect(held).toHaveLength(2);
});
