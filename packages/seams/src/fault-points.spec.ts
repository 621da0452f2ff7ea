import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { faultPointsFrom, noFaults } from './fault-points.js';

describe('fault points', () => {
  it('do nothing when none is named', () => {
    expect(faultPointsFrom(undefined)).toBe(noFaults);
    expect(faultPointsFrom('')).toBe(noFaults);
    expect(noFaults('S1')).toBeUndefined();
  });

  it('strike the named point once, and no other', async () => {
    const at = faultPointsFrom('S3=error,D2.a=delay:1');
    await at('S1');
    await expect(at('S3')).rejects.toThrow('fault injected at S3');
    await at('S3');
    await at('D2.a');
  });

  it.each(['S3', 'S3=', 'S3=boom', '=kill', 'S3=delay:x', 'S3=kill,', 'S3 =kill'])('refuse %j', (text) => {
    expect(() => faultPointsFrom(text)).toThrow('cannot read');
  });

  it('kill the process at the point', async () => {
    const child = inProcess('kill');
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
  });

  it('freeze the process at the point, until it is continued', async () => {
    const child = inProcess('freeze');
    await once(child.stderr, 'data');
    const stopped = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.startsWith('T') === true;
    await expect.poll(stopped, { timeout: 10_000 }).toBe(true);
    child.kill('SIGCONT');
    const [code] = await once(child, 'exit');
    expect(code).toBe(7);
  });
});

/** A process of its own that reaches the point S1 and would then end with 7. */
function inProcess(kind: string) {
  const module = new URL('../dist/index.js', import.meta.url).href;
  const program = `import { faultPointsFrom } from '${module}'; await faultPointsFrom('S1=${kind}')('S1'); process.exit(7);`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'ignore', 'pipe'] });
}
