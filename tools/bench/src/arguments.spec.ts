import { expect, it } from 'vitest';
import { readArguments } from './arguments.js';

it('measures the idle guest and the small one in five rounds unless told otherwise', () => {
  expect(readArguments([])).toEqual({
    bench: 'cycle',
    rounds: 5,
    downtimes: null,
    guests: ['idle', 'boot-sector'],
    fillMib: 200,
    dirtyMib: 20,
    json: null,
  });
});

it('takes each option', () => {
  const argv = [
    '--rounds',
    '9',
    '--guest',
    'filled',
    '--guest=dirtying',
    '--guest',
    'filled',
    '--fill',
    '64',
    '--dirty',
    '8',
    '--json',
    '/tmp/x',
  ];
  expect(readArguments(argv)).toEqual({
    bench: 'cycle',
    rounds: 9,
    downtimes: null,
    guests: ['filled', 'dirtying'],
    fillMib: 64,
    dirtyMib: 8,
    json: '/tmp/x',
  });
});

it('measures the downtime of the idle guest and the dirtying one', () => {
  expect(readArguments(['--downtime', '50'])).toMatchObject({ downtimes: 50, guests: ['idle', 'dirtying'] });
});

it.each(['tunnel', 'pump', 'streams'])('takes --%s with rounds and a file', (bench) => {
  expect(readArguments([`--${bench}`, '--rounds', '2', '--json', '/tmp/x'])).toMatchObject({ bench, rounds: 2, json: '/tmp/x' });
});

it.each([
  [['--tunnel', '--pump'], /--tunnel, --pump do not go together/],
  [['--tunnel', '--fill', '3'], /--tunnel, --fill do not go together/],
  [['--downtime', '0'], /--downtime is a whole number from 1/],
  [['--rounds', '0'], /--rounds is a whole number from 1/],
  [['--rounds', '2.5'], /--rounds/],
  [['--fill', 'lots'], /--fill/],
  [['--guest', 'windows'], /--guest is one of boot-sector/],
  [['--fast'], /--fast/],
  [['idle'], /idle/],
])('refuses %j', (argv, message) => {
  expect(() => readArguments(argv)).toThrow(message);
});
