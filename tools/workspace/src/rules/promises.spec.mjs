// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the code under test is text.
import { join } from 'node:path';
import { ESLint } from 'eslint';
import { describe, expect, it } from 'vitest';
import { root } from '../packages.mjs';

/** The messages of the rule that holds the project's own promises, for a line of code as if it stood in that file. */
async function promisesBrokenBy(code, file) {
  // Only syntax is looked at: the types of a file that does not exist cannot be asked.
  const eslint = new ESLint({
    cwd: root,
    ruleFilter: ({ ruleId }) => ruleId === 'no-restricted-syntax',
    overrideConfig: { languageOptions: { parserOptions: { projectService: false } } },
  });
  const [result] = await eslint.lintText(code, { filePath: join(root, file) });
  return result.messages.map(({ message }) => message);
}

describe('S7: flags are never printed in decimal', () => {
  it.each(['log(`flags=${flags}`)', 'log(`${request.flags}`)', 'log(`x ${migrationFlags} y`)'])('refuses %s', async (code) => {
    expect(await promisesBrokenBy(code, 'packages/client/src/x.ts')).toEqual(['S7: flags are printed in hex.']);
  });

  it('lets them be formatted', async () => {
    expect(await promisesBrokenBy('log(`flags=${flagsHex(flags)}`)', 'packages/client/src/x.ts')).toEqual([]);
  });
});

describe('S2: the network of an interface is asked through one place', () => {
  it.each(['configuredBackend', 'actualBackend'])('refuses to read %s', async (field) => {
    expect(await promisesBrokenBy(`use(device.${field}.bridge)`, 'packages/hypervisor/src/x.ts')).toHaveLength(1);
  });

  it('exempts that place', async () => {
    expect(await promisesBrokenBy('use(device.actualBackend)', 'packages/domain/src/actual-network.ts')).toEqual([]);
  });
});

describe('time, randomness and environment come in by parameter', () => {
  it.each(['Date.now()', 'performance.now()', 'new Date()', 'Math.random()', 'process.env.HOME'])('refuses %s', async (code) => {
    expect(await promisesBrokenBy(`use(${code})`, 'apps/source-agent/src/x.ts')).toHaveLength(1);
    expect(await promisesBrokenBy(`use(${code})`, 'apps/source-agent/src/main.ts')).toEqual([]);
  });
});
