import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '@vmferry/locking';

const suffix = '.save';

/** The images that belong to their domains (virsh managedsave): at most one of each, which its next start uses. */
export class ManagedImages {
  readonly dir: string;
  #uuids: ReadonlySet<string> = new Set();

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Reads what is there after a start of the agent. */
  async load(): Promise<void> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const names = await readdir(this.dir);
    this.#uuids = new Set(names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)));
  }

  has(uuid: string): boolean {
    return this.#uuids.has(uuid);
  }

  pathOf(uuid: string): string {
    return join(this.dir, `${uuid}${suffix}`);
  }

  /** The save of this domain has put its image there. */
  note(uuid: string): void {
    this.#uuids = new Set([...this.#uuids, uuid]);
  }

  /** The guest runs by now, and not from its image: started from it later it would find its disks changed. Returns where the image is kept. */
  async setAside(uuid: string): Promise<string> {
    const kept = `${this.pathOf(uuid)}.outdated`;
    await rename(this.pathOf(uuid), kept);
    this.#uuids = new Set([...this.#uuids].filter((each) => each !== uuid));
    return kept;
  }

  /** A guest that runs on must not be started from it again. */
  async remove(uuid: string): Promise<void> {
    await rm(this.pathOf(uuid), { force: true });
    await syncFolder(this.dir);
    this.#uuids = new Set([...this.#uuids].filter((each) => each !== uuid));
  }
}
