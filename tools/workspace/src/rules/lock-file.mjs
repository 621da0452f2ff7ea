import { textOf } from './files.mjs';

/** The lock file names packages by version and hash only: an address in it would bind every clone to one registry. */
export function lockFileRule() {
  return textOf('pnpm-lock.yaml')
    .split('\n')
    .flatMap((line, index) =>
      /tarball:|https?:\/\//.test(line) ? [`pnpm-lock.yaml:${index + 1} holds an address: ${line.trim()}`] : [],
    );
}
