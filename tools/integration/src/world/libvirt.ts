import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';

/** Whom libvirt runs as here, and its QEMU with it: an unprivileged libvirt needs no service and no user of its own. */
const nobody = 65_534;

const configuration = ['security_driver = "none"', 'namespaces = []', 'cgroup_controllers = []', 'stdio_handler = "file"', ''];

/** Debian's own libvirt: its QEMU driver inside one virsh, which is told its commands one by one. What it runs ends with it. */
export class Virsh {
  readonly folder: string;
  readonly #child: ChildProcessWithoutNullStreams;
  #said = '';

  private constructor(folder: string) {
    this.folder = folder;
    this.#child = spawn('virsh', ['-q', '-c', `qemu:///embed?root=${folder}`], {
      cwd: '/',
      uid: nobody,
      gid: nobody,
      env: {
        PATH: '/usr/bin:/bin',
        HOME: folder,
        XDG_RUNTIME_DIR: folder,
        LC_ALL: 'C',
        LIBVIRT_LOG_OUTPUTS: `4:file:${folder}/libvirt.log`,
      },
    });
    for (const output of [this.#child.stdout, this.#child.stderr])
      output.on('data', (chunk: Buffer) => (this.#said += String(chunk)));
  }

  static open(): Virsh {
    const folder = mkdtempSync(join(tmpdir(), 'vfl-'));
    mkdirSync(join(folder, 'etc'));
    writeFileSync(join(folder, 'etc/qemu.conf'), configuration.join('\n'));
    for (const path of [folder, join(folder, 'etc'), join(folder, 'etc/qemu.conf')]) chownSync(path, nobody, nobody);
    return new Virsh(folder);
  }

  /** What it says to one command, up to the mark that it is told to say after it. Throws what it calls an error. */
  async tell(command: string): Promise<string> {
    const [from, mark] = [this.#said.length, `done-${this.#said.length}`];
    this.#child.stdin.write(`${command}\necho ${mark}\n`);
    await eventually(() => {
      if (!this.#said.slice(from).includes(`\n${mark}`))
        throw new Error(`virsh has not ended ${command}: ${this.#said.slice(from)}`);
    });
    const answer = this.#said.slice(from, this.#said.lastIndexOf(`\n${mark}`)).trim();
    if (/^error: /m.test(answer)) throw new Error(`virsh ${command}: ${answer}`);
    return answer;
  }

  async close(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.stdin.end('quit\n');
    await exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
