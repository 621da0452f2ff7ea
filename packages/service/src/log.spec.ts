import { Writable } from 'node:stream';
import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { createLogger } from './log.js';

function logged(write: (log: ReturnType<typeof createLogger>) => void): { text: string; line: Record<string, unknown> } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  write(createLogger({ app: 'source-agent', level: 'info', hostName: 'h', stream }));
  return { text, line: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

describe('the log', () => {
  it('is one JSON line with the fields of its children', () => {
    const { line } = logged((log) =>
      log.child({ migrationId: 'm1', side: 'source' }).info('began', { phase: 'begin', message: 'kept apart' }),
    );
    expect(line).toMatchObject({
      level: 'info',
      app: 'source-agent',
      host: 'h',
      migrationId: 'm1',
      side: 'source',
      phase: 'begin',
    });
    expect(line.at).toMatch(/^\d{4}-.*Z$/);
    expect(logged((log) => log.debug('not at this level')).text).toBe('');
  });

  it('threat 10: control characters, escapes and line separators stay inside their string', () => {
    const evil = 'a\nb\u001b[31mc\u2028d\u009b\u202ee%s%d';
    const { text, line } = logged((log) => log.warn(evil, { [evil]: evil }));
    expect(text.split('\n')).toHaveLength(2);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/);
    expect(line.message).toBe(evil);
  });

  it('threat 10: secrets are redacted at any depth, and lengths and depths are capped', () => {
    const canary = 'canary-7f3a';
    const { text, line } = logged((log) =>
      log.info('x', {
        cookieIn: canary,
        deep: { ticket: canary, list: [{ permit: canary, Authorization: canary }] },
        password: canary,
        permitBytes: canary,
        cookieBytes: 4711,
        bytes: Buffer.from(canary),
        long: 'y'.repeat(10_000),
        many: Array.from({ length: 1_000 }, (_, n) => n),
      }),
    );
    expect(text).not.toContain(canary);
    expect(text.length).toBeLessThan(8_000);
    expect(line.bytes).toBe('[11 bytes]');
    expect(line.cookieBytes, 'how long a secret is').toBe(4711);
  });

  it('an error tells code, place, causes and what was suppressed', () => {
    const cause = new Error('outer', { cause: new TypeError('inner') });
    const error = new VmferryError('stream-failed', 'It broke.', { cause, side: 'relay', data: { bytes: 3 } });
    error.suppress(new VmferryError('guest-gone', 'Gone.'), new Date(0));
    const { line } = logged((log) => log.error('failed', { error }));
    expect(line.error).toMatchObject({
      code: 'stream-failed',
      detail: 'It broke.',
      side: 'relay',
      data: { bytes: 3 },
      causes: ['Error: outer', 'TypeError: inner'],
      suppressed: [{ code: 'guest-gone', detail: 'Gone.' }],
    });
  });

  it('survives a value that refers to itself', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(logged((log) => log.info('x', { loop })).text).toContain('[deeper]');
  });
});
