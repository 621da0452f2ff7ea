import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { VmferryError } from '@vmferry/errors';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLogger } from './log.js';
import { loggable } from './loggable.js';

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

  it('threat 10: broken JSON is told without what it cites, as an error and as a cause', () => {
    for (const broken of ['{"a": Zq4711', 'Zq4711', '{"passw": "x"} Zq4711', `{"a":\n${' '.repeat(30)}Zq4711 "b" "c"}`]) {
      const error = (() => {
        try {
          return JSON.parse(broken) as unknown;
        } catch (thrown) {
          return thrown;
        }
      })();
      expect(error).toBeInstanceOf(SyntaxError);
      const { text } = logged((log) => log.warn('x', { error, wrapped: new Error('it failed', { cause: error }) }));
      expect(text).not.toMatch(/Zq4|passw/);
      expect(text).toMatch(/JSON/);
    }
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
        tls: { pem: `-----BEGIN EC PRIVATE KEY-----\n${canary}\n-----END EC PRIVATE KEY-----\n` },
        error: new Error(`cannot read -----BEGIN PRIVATE KEY-----${canary}`),
        long: 'y'.repeat(10_000),
        many: Array.from({ length: 1_000 }, (_, n) => n),
      }),
    );
    expect(text).not.toContain(canary);
    expect(text.length).toBeLessThan(8_000);
    expect(line.bytes).toBe('[11 bytes]');
    expect(line.cookieBytes, 'how long a secret is').toBe(4711);
  });

  it('threat 10: no private key reaches the log, in whatever text it stands', () => {
    const pem = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----';
    const shown = JSON.stringify(
      loggable({ own: { key: pem }, told: `a\n${pem}\nb`, cut: pem.slice(0, 40), error: new Error(pem) }),
    );
    expect(shown).not.toMatch(/MHcC|BEGIN/);
    expect(loggable(`a ${pem} b`)).toBe('a [redacted] b');
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

  it('drops and counts what a full disk does not take, and says so on a line of its own when it does again', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmferry-log-spec-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'app.log');
    // The lowest free descriptor is taken: stderr becomes the device that is always full, and then the file again.
    const code = `
      import { closeSync, openSync } from 'node:fs';
      import { createLogger } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const log = createLogger({ app: 'source-agent', level: 'error', hostName: 'h' });
      log.error('before');
      closeSync(2), openSync('/dev/full', 'w');
      for (let n = 0; n < 3; n++) log.error('lost');
      await new Promise(setImmediate);
      closeSync(2), openSync(${JSON.stringify(path)}, 'a');
      log.error('after');`;
    const fd = openSync(path, 'a');
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'ignore', fd] });
    closeSync(fd);
    expect(status).toBe(0);
    const [before = '', empty, ...after] = readFileSync(path, 'utf8').trimEnd().split('\n');
    const told = [before, ...after].map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told.map((line) => [line.message, line.dropped])).toEqual([
      ['before', undefined],
      ['after', undefined],
      ['log lines could not be written and are lost', 3],
    ]);
    expect(empty).toBe('');
  });

  it('does not keep lines without bound for a reader that takes none', () => {
    const stream = new Writable({ write: () => undefined });
    const log = createLogger({ app: 'source-agent', level: 'info', hostName: 'h', stream });
    for (let n = 0; n < 2_000; n++) log.info('x'.repeat(2_000));
    expect(stream.writableLength).toBeLessThan(1_100_000);
  });

  it('survives a value that refers to itself', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(logged((log) => log.info('x', { loop })).text).toContain('[deeper]');
  });
});
