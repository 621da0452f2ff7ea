import { expect, it } from 'vitest';
import { negotiate } from './protocols.js';

it.each([
  [['v3', 'v2'], ['v3', 'v2'], 'v3'],
  [['v3', 'v2'], ['v2', 'v3'], 'v3'],
  [['v3', 'v2'], ['v2'], 'v2'],
  [['v3'], ['v2'], null],
  [['v3', 'v2'], ['v4'], null],
  [['v3', 'v2'], [], null],
] as const)('S20: a source of %j and a destination of %j speak %s', (source, destination, spoken) => {
  expect(negotiate(source, destination)).toBe(spoken);
});
