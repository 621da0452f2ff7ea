import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

type Message = Record<string, unknown>;

/** A QEMU with nothing of vmferry around it: the control for every claim about our guests. */
export class RawQemu {
  readonly #replies: ((message: Message) => void)[] = [];
  readonly #events: Message[] = [];
  readonly #watchers = new Set<() => void>();

  private constructor(
    readonly child: ChildProcess,
    private readonly monitor: Socket,
  ) {
    createInterface({ input: monitor }).on('line', (line) => {
      const message = JSON.parse(line) as Message;
      if ('event' in message) {
        this.#events.push(message);
        for (const look of this.#watchers) look();
      } else if (!('QMP' in message)) this.#replies.shift()?.(message);
    });
  }

  static async start(monitorPath: string, args: readonly string[]): Promise<RawQemu> {
    const base = ['-nodefaults', '-no-user-config', '-machine', 'q35', '-accel', 'tcg', '-display', 'none'];
    // QEMU connects to us: waiting for a socket of its own would race with its listen().
    const server = createServer().listen(monitorPath);
    const monitor = ['-qmp', `unix:${monitorPath}`];
    const child = spawn('qemu-system-x86_64', [...base, ...monitor, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    const [socket] = (await once(server, 'connection')) as [Socket];
    server.close();
    const qemu = new RawQemu(child, socket);
    await qemu.execute('qmp_capabilities');
    return qemu;
  }

  async execute(command: string, args: Message = {}): Promise<unknown> {
    const reply = await new Promise<Message>((resolve) => {
      this.#replies.push(resolve);
      this.monitor.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
    if ('error' in reply) throw new Error(`${command}: ${JSON.stringify(reply.error)}`);
    return reply.return;
  }

  /** The event of this name, past or to come, whose data the predicate accepts. The test's own timeout bounds it. */
  event(name: string, accept: (data: Message) => boolean = () => true): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.#events.some((event) => event.event === name && accept((event.data ?? {}) as Message))) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  async end(): Promise<void> {
    this.monitor.destroy();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

/** Moves the guest by QMP alone, with what vmferry uses: return path, late block activation, a destination that waits for `cont`. */
export async function migrateByQmpAlone(source: RawQemu, destination: RawQemu, streamPath: string): Promise<void> {
  const capabilities = ['events', 'return-path', 'late-block-activate'].map((capability) => ({ capability, state: true }));
  for (const qemu of [source, destination]) await qemu.execute('migrate-set-capabilities', { capabilities });
  await source.execute('migrate-set-parameters', { 'downtime-limit': 10, 'max-bandwidth': 1 << 30 });
  await destination.execute('migrate-incoming', { uri: `unix:${streamPath}` });
  await source.execute('migrate', { uri: `unix:${streamPath}` });
  const completed = (data: Message): boolean => data.status === 'completed';
  await Promise.all([source.event('MIGRATION', completed), destination.event('MIGRATION', completed)]);
  await destination.execute('cont');
}
