import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '@vmferry/seams';
import { SanlockClient } from '../sanlock/sanlock-client.js';
import { lockspace, SanlockLeases } from '../sanlock/sanlock-leases.js';
import { SanlockLocks } from '../sanlock/sanlock-locks.js';

/** sanlock's own default is 10 s: joining then takes 30 s, and the death of a host is known after 140 s instead of 68 s. */
const ioTimeoutSeconds = 1;
const startMsMax = 10_000;

/** A container's root may not raise the limit of locked memory, and the daemon ends when it cannot, also with `-l 0`, which locks none. */
const limitsRefused = 'cannot set the limits';
const leaveLimits = `
  int setrlimit(int resource, const void *limits) { (void)resource; (void)limits; return 0; }
`;

interface SanlockHost {
  readonly uuid: string;
  readonly runDir: string;
  daemon: ChildProcess | null;
}

/**
 * Real sanlock daemons on one machine, one for each "host", with run folders and host ids of their own, and one folder of leases. They run without the
 * watchdog (`-w 0`), which would reset the machine that the tests run on; so what the watchdog does is not tested.
 */
export class SanlockHosts {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sanlock-'));
  readonly #hosts: readonly SanlockHost[];
  readonly #guests = new Set<ChildProcess>();

  private constructor(uuids: readonly string[]) {
    this.#hosts = uuids.map((uuid, index) => ({ uuid, runDir: join(this.#folder, `run-${index}`), daemon: null }));
    mkdirSync(this.folder);
  }

  static async start(uuids: readonly string[]): Promise<SanlockHosts> {
    const hosts = new SanlockHosts(uuids);
    process.once('exit', hosts.#killAll);
    for (const { runDir } of hosts.#hosts) {
      mkdirSync(runDir);
      await hosts.#startDaemon(runDir);
    }
    const path = join(hosts.folder, 'lockspace');
    writeFileSync(path, Buffer.alloc(1_048_576));
    await hosts.#asked(0, 'init', '-s', `${lockspace}:0:${path}:0`, '-o', String(ioTimeoutSeconds));
    await Promise.all(uuids.map((_, host) => hosts.#join(host)));
    return hosts;
  }

  /** What all hosts share. */
  get folder(): string {
    return join(this.#folder, 'shared');
  }

  runDirOf(host: number): string {
    return this.#host(host).runDir;
  }

  /** The host ids are free for other hosts, as after an administrator has removed those that are gone for good. */
  forgetHosts(): void {
    rmSync(join(this.folder, 'hosts'), { recursive: true, force: true });
  }

  locksOf(host: number): Promise<SanlockLocks> {
    const { uuid, runDir } = this.#host(host);
    const { folder } = this;
    return SanlockLocks.open({ folder, hostId: host + 1, runDir, allowNoWatchdog: true, hostUuid: uuid, clock: systemClock });
  }

  /** A process that stands for a QEMU: launched as one is, and known to the daemon when this resolves. */
  async guest({ launcher }: SanlockLocks): Promise<{ readonly pid: number; end(): Promise<void> }> {
    const [program = '', ...words] = launcher;
    const child = spawn(program, [...words, 'sleep', '600'], { stdio: 'ignore' });
    this.#guests.add(child);
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    // By then sanlock has answered it twice, as it has a QEMU whose monitor greets.
    while (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'sleep\n') {
      if (child.exitCode !== null) throw new Error(`sanlock client command ended with ${child.exitCode}.`);
      await setImmediate();
    }
    return { pid, end: () => this.#end(child) };
  }

  /** The host is cut off: nothing renews its leases any more, and its guests run on, as no watchdog is there. */
  async kill(host: number): Promise<void> {
    const { daemon } = this.#host(host);
    if (daemon === null) return;
    this.#host(host).daemon = null;
    await ended(daemon);
  }

  signal(host: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#host(host).daemon?.kill(signal);
  }

  /** As the host comes back after a reset: another life of the daemon in the same lockspace. */
  async revive(host: number): Promise<void> {
    await this.#startDaemon(this.#host(host).runDir);
    await this.#join(host);
  }

  async close(): Promise<void> {
    for (const guest of this.#guests) await this.#end(guest);
    for (const [index] of this.#hosts.entries()) await this.kill(index);
    process.off('exit', this.#killAll);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly #killAll = (): void => {
    for (const child of [...this.#guests, ...this.#hosts.map(({ daemon }) => daemon)]) child?.kill('SIGKILL');
  };

  async #end(guest: ChildProcess): Promise<void> {
    if (this.#guests.delete(guest)) await ended(guest);
  }

  async #startDaemon(runDir: string): Promise<void> {
    const said = await this.#tryDaemon(runDir, {});
    if (said === null) return;
    if (!said.includes(limitsRefused)) throw new Error(`The sanlock daemon does not start: ${said}`);
    process.stderr.write(
      'sanlock may not raise its limits on this machine (CAP_SYS_RESOURCE): it is started with them as they are.\n',
    );
    const again = await this.#tryDaemon(runDir, { LD_PRELOAD: this.#withoutLimits() });
    if (again !== null) throw new Error(`The sanlock daemon does not start: ${again}`);
  }

  /** Null when it runs, otherwise what it said when it ended. */
  #tryDaemon(runDir: string, environment: NodeJS.ProcessEnv): Promise<string | null> {
    const user = userInfo().username;
    const words = ['daemon', '-D', '-w', '0', '-l', '0', '-U', user, '-G', user, '-e', runDir.slice(-5)];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SANLOCK_RUN_DIR: runDir, ...environment };
    const child = spawn('sanlock', words, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const host = this.#hosts.find((each) => each.runDir === runDir);
    if (host !== undefined) host.daemon = child;
    return new Promise((resolve, reject) => {
      let said = '';
      const late = setTimeout(() => reject(new Error(`The sanlock daemon does not get ready: ${said}`)), startMsMax);
      child.once('error', reject);
      child.once('exit', () => resolve(said));
      child.stderr.on('data', (bytes: Buffer) => {
        said = `${said}${bytes.toString('utf8')}`.slice(-10_000);
        if (!said.includes('daemon started')) return;
        clearTimeout(late);
        resolve(null);
      });
      child.once('exit', () => clearTimeout(late));
    });
  }

  #withoutLimits(): string {
    const [source, library] = [join(this.#folder, 'limits.c'), join(this.#folder, 'limits.so')];
    writeFileSync(source, leaveLimits);
    execFileSync('gcc', ['-shared', '-fPIC', '-o', library, source]);
    return library;
  }

  async #join(host: number): Promise<void> {
    const { runDir, uuid } = this.#host(host);
    const word = new SanlockLeases(this.folder, new SanlockClient(runDir), uuid).lockspaceOf(host + 1);
    await this.#asked(host, 'add_lockspace', '-s', word, '-o', String(ioTimeoutSeconds));
  }

  async #asked(host: number, ...words: readonly string[]): Promise<void> {
    const { code, output } = await new SanlockClient(this.runDirOf(host)).ask('client', ...words);
    if (code !== 0) throw new Error(`sanlock client ${words.join(' ')}: ${output}`);
  }

  #host(index: number): SanlockHost {
    const host = this.#hosts[index];
    if (host === undefined) throw new Error(`There is no host ${index}.`);
    return host;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}
