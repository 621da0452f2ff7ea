import { tmpdir } from 'node:os';
import { VmferryError } from '@vmferry/errors';
import { playDemo } from './demo.js';
import { say } from './say.js';

/** A temporary folder with a longer path would leave no room for the sockets below it. */
const tmpDirCharsMax = 40;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Cleaning up goes on when the key is pressed again: it ends by itself.
  process.on(signal, () => stop.abort(new VmferryError('internal', `interrupted by ${signal}`)));
}
// A reader that went away, as `head` does, ends the demo as Ctrl-C would.
process.stdout.on('error', () => stop.abort(new VmferryError('internal', 'nobody reads the output any more')));

// The demo's hosts are its own: no setting of the user's hosts is for them.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VMFERRY_')));

try {
  const succeeded = await playDemo({ tmpDir: tmpdir().length > tmpDirCharsMax ? '/tmp' : tmpdir(), env, signal: stop.signal });
  say(succeeded ? 'The guest moved, and its clock went on.' : 'The demo FAILED: see the lines that say so above.');
  process.exitCode = succeeded ? 0 : 1;
} catch (error) {
  say(`The demo ${stop.signal.aborted ? 'did not finish' : 'FAILED'}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
}
