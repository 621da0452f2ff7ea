import { expect, it } from 'vitest';
import { supportsNode } from './node-version.mjs';

it.each(['v20.19.0', 'v20.20.2', 'v22.13.0', 'v24.0.0', 'v25.1.0'])('takes Node %s', (version) => {
  expect(supportsNode(version)).toBe(true);
});

it.each(['v18.20.0', 'v20.18.9', 'v21.7.0', 'v22.12.0', 'v23.5.0'])('refuses Node %s', (version) => {
  expect(supportsNode(version)).toBe(false);
});
