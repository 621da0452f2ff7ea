/** The examples at the end of a command's help, one a line. */
export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ vmferry ${line}\n`).join('')}`;
