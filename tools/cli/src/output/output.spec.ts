import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureJson, failureText } from './failure.js';
import { printable } from './printable.js';
import { fitted } from './progress-line.js';
import { factsText, tableText } from './table.js';
import { LiveLine } from './terminal.js';
import { bytesText, durationText } from './units.js';

describe('units', () => {
  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1.0 KiB'],
    [1_048_575, '1.0 MiB'],
    [83_886_080, '80.0 MiB'],
    [2 ** 53 - 1, '8.0 PiB'],
  ])('%d bytes', (bytes, text) => expect(bytesText(bytes)).toBe(text));

  it.each([
    [14.4, '14 ms'],
    [1_230, '1.23 s'],
    [59_994, '59.99 s'],
    [59_996, '1 min 0 s'],
    [125_000, '2 min 5 s'],
    [3_725_000, '1 h 2 min'],
  ])('%d ms', (ms, text) => expect(durationText(ms)).toBe(text));
});

describe('errors', () => {
  const error = new VmferryError('invalid-argument', 'The body is not accepted', {
    side: 'destination',
    phase: 'prepare',
    errors: [{ path: '/flags/0', code: 'flag-unknown', detail: 'no such flag' }],
  }).suppress(new VmferryError('session-lost', 'it ended', { side: 'source', phase: 'confirm' }), new Date(0));

  it('are one message with code, place, faulty fields and later errors', () => {
    expect(failureText(error)).toBe(
      'error: The body is not accepted (invalid-argument)\n  in prepare at the destination\n  /flags/0: no such flag (flag-unknown)\n' +
        '  then in confirm at the source: it ended (session-lost)\n',
    );
  });

  it('are not told twice when one fault is all that the message says', () => {
    const detail = 'A definition is not valid: /domain/name is missing.';
    const errors = [{ path: '/domain/name', code: 'definition-invalid', detail: '/domain/name is missing' }];
    expect(failureText(new VmferryError('definition-invalid', detail, { errors }))).toBe(
      `error: ${detail} (definition-invalid)\n`,
    );
  });

  it('have a hint where there is something to do, and never a stack', () => {
    const text = failureText(VmferryError.from(new TypeError('x is not a function')));
    expect(text).toBe('error: x is not a function (internal)\n');
    expect(failureText(new VmferryError('domain-not-found', 'no web'))).toContain('hint: `vmferry domain list --all`');
  });

  it('are problem documents for programs', () => {
    expect(JSON.parse(failureJson(error))).toMatchObject({ error: { code: 'invalid-argument', status: 422, phase: 'prepare' } });
  });

  it('cannot drive the terminal', () => {
    expect(failureText(new VmferryError('internal', '\u001b[2Jgone\r'))).toBe('error: \\x1b[2Jgone\\x0d (internal)\n');
  });
});

describe('text for a terminal', () => {
  it('has no control character but line breaks and tabs, whatever came in', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[^\P{Cc}\n\t]/u.test(printable(text))));
  });

  it('is never as wide as the terminal', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300 }),
        fc.integer({ min: 2, max: 200 }),
        (line, columns) => fitted(line, columns).length < columns,
      ),
    );
  });

  it('redraws one line and prints others above it', () => {
    const written: string[] = [];
    const line = new LiveLine({ isTerminal: true, columns: 12, write: (text) => written.push(text) });
    line.show('a long line indeed');
    line.above('note\n');
    line.clear();
    expect(written.join('')).toBe('\r\u001b[2Ka long lin…\r\u001b[2Knote\na long lin…\r\u001b[2K');
  });

  it('draws tables and facts as virsh does', () => {
    expect(
      tableText(
        ['Pid', 'Name'],
        [
          ['4711', 'web'],
          ['-', 'x'],
        ],
      ),
    ).toBe(' Pid    Name\n--------------\n 4711   web\n -      x\n');
    expect(
      factsText([
        ['Name', 'web'],
        ['Phases', 'a\nb'],
      ]),
    ).toBe('Name:    web\nPhases:  a\n         b\n');
  });
});
