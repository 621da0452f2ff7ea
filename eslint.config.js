// Typed lint. Formatting and the untyped rules are biome's (biome.json).
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** A number of such a name goes into no text as it is: not in a template, by `String` or `toString()`, or as a field of a log. */
function printedAs(names, message) {
  const named = [`Identifier[name=/${names}/]`, `MemberExpression[property.name=/${names}/]`];
  const objects = [`[callee.object.name=/${names}/]`, `[callee.object.property.name=/${names}/]`];
  const log = "CallExpression:matches([callee.object.name='log'], [callee.object.property.name='log'])";
  const field = `${log} > ObjectExpression > Property[key.name=/${names}/]`;
  return [
    ...named.map((value) => `TemplateLiteral > ${value}`),
    ...named.map((value) => `CallExpression[callee.name='String'] > ${value}.arguments`),
    ...objects.map((object) => `CallExpression[callee.property.name='toString'][arguments.length=0]${object}`),
    ...named.map((value) => `${field} > ${value}.value`),
  ].map((selector) => ({ selector, message }));
}

/** Promises of the project that syntax can hold, each with its reason as the message. */
const promises = {
  ambient: [
    {
      selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
      message: 'The time comes in by parameter: a Clock of @vmferry/seams.',
    },
    {
      selector: "CallExpression[callee.object.name='performance'][callee.property.name='now']",
      message: 'The time comes in by parameter: a Clock of @vmferry/seams.',
    },
    {
      selector: "NewExpression[callee.name='Date'][arguments.length=0]",
      message: 'The time comes in by parameter: a Clock of @vmferry/seams.',
    },
    {
      selector: "CallExpression[callee.object.name='Math'][callee.property.name='random']",
      message: 'Randomness comes in by parameter: a Random of @vmferry/seams.',
    },
    {
      selector: "MemberExpression[object.name='process'][property.name='env']",
      message: 'The environment is read by main.ts only, and comes in by parameter.',
    },
  ],
  flagsInHex: printedAs('^flags$|Flags$', 'S7: flags are printed in hex.'),
  modesInOctal: printedAs('^(mode|umask)$|[a-z]Mode$', 'S7: file modes are printed in octal.'),
  actualNetwork: [
    {
      selector:
        ':matches(MemberExpression[property.name=/^(configuredBackend|actualBackend)$/], ObjectPattern > Property[key.name=/^(configuredBackend|actualBackend)$/])',
      message: 'S2: which network an interface is on is asked through actual-network.ts.',
    },
  ],
};

/** S7: where a flag or a mode is a word and no number, by file and with the reason. */
const printedAsWords = {
  'tools/integration/src/faults/strike.ts': 'the mode of a migration, such as p2p-direct, in the name of a case',
};

const numbers = [...promises.flagsInHex, ...promises.modesInOctal];
const product = [...promises.ambient, ...numbers, ...promises.actualNetwork];
const specs = ['**/*.spec.ts', '**/*.sweep.ts', '**/*spec-*.ts', '**/src/**/spec/**/*.ts'];

export default defineConfig(
  { ignores: ['**/dist/', '**/*.mjs', '**/*.cjs', 'eslint.config.js', 'packages/qmp/src/generated/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // An async function without await is how an implementation keeps the type of its interface.
      '@typescript-eslint/require-await': 'off',
      // Ids, counters and sizes are numbers, and text is made of them.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
    },
  },
  { files: ['tools/**/*.ts'], ignores: Object.keys(printedAsWords), rules: { 'no-restricted-syntax': ['error', ...numbers] } },
  { files: ['packages/**/*.ts', 'apps/**/*.ts'], rules: { 'no-restricted-syntax': ['error', ...product] } },
  {
    // What hands the seams in, and what lies below them.
    files: ['packages/seams/src/**', 'packages/posix/src/**', '**/src/main.ts'],
    rules: { 'no-restricted-syntax': ['error', ...numbers, ...promises.actualNetwork] },
  },
  {
    // The one place that reads them (S2).
    files: ['packages/domain/src/actual-network.ts'],
    rules: { 'no-restricted-syntax': ['error', ...promises.ambient, ...numbers] },
  },
  {
    files: specs,
    rules: {
      'no-restricted-syntax': 'off',
      // A suite is one function.
      'max-lines-per-function': 'off',
      // Tests look into JSON that the product under test has made.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      // `it` and `expect` take functions apart from their objects.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
