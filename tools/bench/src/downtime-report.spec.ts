import { expect, it } from 'vitest';
import { gapTable, gapVerdicts } from './downtime-report.js';

const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
const measured = new Map([
  ['vmferry direct', { gapsMs: hundred, lost: 0 }],
  ['QMP alone', { gapsMs: [20, 30, 1_200], lost: 2 }],
]);

it('shows median, 95th percentile and maximum, what is over the goal, and the guests that were lost', () => {
  const [head, ferry, alone] = gapTable(measured);
  expect(head).toMatch(/migrations +median +p95 +max +over 300 ms +guests lost$/);
  expect(ferry).toMatch(/^vmferry direct +100 +51 +95 +100 +0 +0$/);
  expect(alone).toMatch(/^QMP alone +3 +30 +1200 +1200 +1 +2$/);
});

it('judges the goal by each migration, and never by none', () => {
  expect(gapVerdicts(measured, ['vmferry direct', 'QMP alone', 'nobody'])).toEqual([
    'met      vmferry direct: no gap over 300 ms: 0 of 100',
    'NOT MET  QMP alone: no gap over 300 ms: 1 of 3',
    'NOT MET  nobody: no gap over 300 ms: 0 of 0',
  ]);
});
