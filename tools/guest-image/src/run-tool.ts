import { execFile } from 'node:child_process';
import { VmferryError } from '@vmferry/errors';

const timeoutMs = 120_000;

/**
 * Runs a tool of the host (assembler, compiler, apt) in a folder and returns what it printed.
 * @throws VmferryError 'internal' with the tool's own words when it fails, is missing, or takes more than 120 s.
 */
export function runTool(folder: string, tool: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(tool, args, { cwd: folder, timeout: timeoutMs, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const said = stderr.trim() === '' ? error.message : stderr.trim();
      reject(
        new VmferryError('internal', `The guest image was not built: '${tool} ${args.join(' ')}' failed: ${said}`, {
          cause: error,
        }),
      );
    });
  });
}
