import { repositoryFiles, textOf } from './files.mjs';

/** Home and workplace folders of one machine. */
const machinePath = /(?:^|[\s'"`(=:[])\/(?:work|root|home\/[\w.-]+)\//;

/** What is committed works on any machine, so it names no folder of the one it was written on. */
export function machinePathsRule() {
  return repositoryFiles().flatMap((path) =>
    textOf(path)
      .split('\n')
      .flatMap((line, index) =>
        machinePath.test(line) ? [`${path}:${index + 1} names a folder of one machine: ${line.trim().slice(0, 120)}`] : [],
      ),
  );
}
