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

describe('S7: flags are printed in hex and file modes in octal, never as they are', () => {
  const ways = (name) => [
    `log(\`${name}=\${${name}}\`)`,
    `log(\`\${request.${name}}\`)`,
    `log(String(${name}))`,
    `log(stat.${name}.toString())`,
    `log.info('step', { ${name} })`,
    `this.#context.log.debug('step', { id, ${name}: body.${name} })`,
  ];
  it.each([...ways('flags'), ...ways('migrationFlags')])('refuses %s', async (code) => {
    expect(await promisesBrokenBy(code, 'packages/client/src/x.ts')).toEqual(['S7: flags are printed in hex.']);
  });

  it.each([...ways('mode'), ...ways('fileMode'), ...ways('umask')])('refuses %s', async (code) => {
    expect(await promisesBrokenBy(code, 'apps/source-agent/src/x.ts')).toEqual(['S7: file modes are printed in octal.']);
    expect(await promisesBrokenBy(code, 'tools/cli/src/x.ts')).toHaveLength(1);
  });

  it.each([
    'log(`flags=${flagsInHex(flags)}`)',
    "log.info('step', { flags: flagsInHex(flags) })",
    'log(`mode=0${mode.toString(8)}`)',
    'open(path, { mode })',
  ])('lets %s', async (code) => {
    expect(await promisesBrokenBy(code, 'packages/client/src/x.ts')).toEqual([]);
  });

  it('exempts by name where a mode is a word', async () => {
    expect(await promisesBrokenBy('log(`${mode}`)', 'tools/integration/src/faults/strike.ts')).toEqual([]);
    expect(await promisesBrokenBy('log(`${mode}`)', 'tools/integration/src/faults/other.ts')).toHaveLength(1);
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
