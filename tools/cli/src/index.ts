export type { CliContext } from './context.js';
export { type ExitCode, exitCodes } from './exit-code.js';
export type { Output } from './output/terminal.js';
export { runCli } from './run-cli.js';
