import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CompressedFormat, startCompressor } from './compressor.js';

const folder = mkdtempSync(join(tmpdir(), 'vf-compress-'));
afterAll(() => rmSync(folder, { recursive: true }));
const text = 'memory of a guest '.repeat(4_000);

async function run(format: CompressedFormat, compress: boolean, from: string, to: string): Promise<void> {
  const [stdin, stdout] = [openSync(from, 'r'), openSync(to, 'w')];
  try {
    await (await startCompressor(format, { compress, stdin, stdout })).done;
  } finally {
    closeSync(stdin);
    closeSync(stdout);
  }
}

const file = (name: string) => join(folder, name);

describe('S52: the program of a compression', () => {
  it.each(['gzip', 'bzip2', 'xz', 'lzop', 'zstd'] as const)(
    'S52: %s takes from one descriptor and gives to another, both ways',
    async (format) => {
      writeFileSync(file('in'), text);
      await run(format, true, file('in'), file('small'));
      expect(readFileSync(file('small')).length).toBeLessThan(text.length / 4);
      expect(execFileSync(format, ['-dc'], { input: readFileSync(file('small')), encoding: 'utf8' })).toBe(text);
      await run(format, false, file('small'), file('out'));
      expect(readFileSync(file('out'), 'utf8')).toBe(text);
    },
  );

  it('S52: is no shell: what a path has in it is no command', async () => {
    const odd = file('a; touch $(echo pwned) `echo x` && exit 0 #');
    writeFileSync(odd, text);
    await run('gzip', true, odd, file('odd.gz'));
    await run('gzip', false, file('odd.gz'), file('odd'));
    expect(readFileSync(file('odd'), 'utf8')).toBe(text);
  });

  it('S52: one that fails is told with what it said, and is never taken for a good end', async () => {
    writeFileSync(file('no-gzip'), 'this is not compressed at all');
    await expect(run('gzip', false, file('no-gzip'), file('out'))).rejects.toMatchObject({
      code: 'save-failed',
      message: expect.stringMatching(/gzip ended with exit code 1\. It said: .*not in gzip format/s),
    });
  });

  it('S52: one that is killed has failed', async () => {
    const [stdin, stdout] = [openSync('/dev/zero', 'r'), openSync('/dev/null', 'w')];
    const compressor = await startCompressor('gzip', { compress: true, stdin, stdout });
    compressor.kill();
    await expect(compressor.done).rejects.toMatchObject({ code: 'save-failed', message: expect.stringMatching(/by SIGKILL/) });
    closeSync(stdin);
    closeSync(stdout);
  });

  it('one that the host does not have is told by name', async () => {
    const missing = 'lzma-of-nobody' as CompressedFormat;
    await expect(startCompressor(missing, { compress: true, stdin: 0, stdout: 1 })).rejects.toMatchObject({
      code: 'hypervisor-unsupported',
      message: expect.stringMatching(/no lzma-of-nobody/),
    });
  });
});
