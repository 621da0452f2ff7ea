import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The sources of the guests. The same relative path is right from src/ and from dist/. */
export const guestSources = fileURLToPath(new URL('../guest/', import.meta.url));

/** Built guests are kept here, in a folder that git ignores. */
export const builtGuests = fileURLToPath(new URL('../../../.guests/', import.meta.url));

/**
 * Builds what belongs under `name` (which carries a hash of everything that goes into it) unless it is there, and returns its folder.
 * Concurrent builders do not meet: each builds in a folder of its own and renames it, and the first rename wins.
 */
export async function buildOnce(name: string, build: (folder: string) => Promise<void>): Promise<string> {
  const target = join(builtGuests, name);
  if (existsSync(target)) return target;
  await mkdir(builtGuests, { recursive: true });
  const folder = await mkdtemp(join(builtGuests, '.building-'));
  try {
    await build(folder);
    await rename(folder, target);
  } catch (error) {
    if (!isTaken(error)) throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return target;
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');
}
