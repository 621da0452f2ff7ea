import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { enterNetworkNamespace } from '@vmferry/posix';
import { systemClock } from '@vmferry/seams';

const switchName = 'sw';
const outsideAddress = '192.0.2.1/24';
/** The address of the guest, for its kernel and for whoever pings it. */
export const guestAddress = '192.0.2.10';
export const guestMac = '52:54:00:c0:02:0a';
const pingSeconds = 0.02;

/** What each host has towards the switch: a bridge, and a device for macvtaps. */
export const networksOf = (host: 'a' | 'b') => [`lan=bridge:br${host}`, `direct=direct:nic-${host}`];

function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8' });
}

/** What of this machine forbids a LAN of network namespaces, bridges, taps and macvtaps; null when nothing does. */
export function lanForbidden(): string | null {
  const name = `vmferry-try-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return 'network namespaces cannot be made';
  const inside = (...words: readonly string[]) => spawnSync('ip', ['-n', name, ...words], { encoding: 'utf8' });
  const tries: [string, readonly string[]][] = [
    ['bridges', ['link', 'add', 'try0', 'type', 'bridge']],
    ['veth', ['link', 'add', 'try1', 'type', 'veth', 'peer', 'name', 'try2']],
    ['tap devices', ['tuntap', 'add', 'dev', 'try3', 'mode', 'tap']],
    ['macvtaps', ['link', 'add', 'link', 'try1', 'name', 'try4', 'type', 'macvtap', 'mode', 'bridge']],
  ];
  const failed = tries.find(([, words]) => inside(...words).status !== 0);
  ip('netns', 'delete', name);
  return failed === undefined ? null : `${failed[0]} cannot be had`;
}

/**
 * A switch with two hosts and a station outside. Hosts and switch are in one network namespace, which this process enters, so that all that it
 * starts is there too; the station is in another. A host reaches the switch by its bridge, `bra`, and by `nic-a`, on which its macvtaps are.
 */
export class Lan {
  readonly #inside = `vmferry-hosts-${process.pid}`;
  readonly #outside = `vmferry-outside-${process.pid}`;
  readonly #monitor: ChildProcess;
  /** At which host the switch has learned the guest's address to be, each time that it moved. */
  readonly moves: ('a' | 'b')[] = [];

  constructor() {
    for (const name of [this.#inside, this.#outside]) ip('netns', 'add', name);
    enterNetworkNamespace(`/run/netns/${this.#inside}`);
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', 'name', switchName, 'type', 'bridge');
    for (const host of ['a', 'b'] as const) {
      ip('link', 'add', 'name', `br${host}`, 'type', 'bridge');
      ip('link', 'add', 'name', `up${host}`, 'master', `br${host}`, 'type', 'veth', 'peer', 'name', `port-${host}`);
      ip('link', 'add', 'name', `nic-${host}`, 'type', 'veth', 'peer', 'name', `nport-${host}`);
      for (const port of [`port-${host}`, `nport-${host}`]) ip('link', 'set', port, 'master', switchName, 'up');
      for (const device of [`br${host}`, `up${host}`, `nic-${host}`]) ip('link', 'set', device, 'up');
    }
    ip('link', 'add', 'name', 'port-out', 'master', switchName, 'type', 'veth', 'peer', 'name', 'out', 'netns', this.#outside);
    for (const device of [switchName, 'port-out']) ip('link', 'set', device, 'up');
    ip('-n', this.#outside, 'address', 'add', outsideAddress, 'dev', 'out');
    ip('-n', this.#outside, 'link', 'set', 'out', 'up');
    this.#monitor = spawn('bridge', ['monitor', 'fdb'], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#monitor.stdout !== null) createInterface(this.#monitor.stdout).on('line', (line) => this.#note(line));
  }

  #note(line: string): void {
    const [, host] = new RegExp(`^${guestMac} dev n?port-([ab]) master ${switchName}`).exec(line) ?? [];
    if ((host === 'a' || host === 'b') && host !== this.moves.at(-1)) this.moves.push(host);
  }

  /** Network devices that agents have made, on both hosts. */
  devicesOfGuests(): string[] {
    const shown = JSON.parse(ip('-json', 'link', 'show')) as readonly { readonly ifname: string }[];
    return shown.map(({ ifname }) => ifname).filter((name) => name.startsWith('vnet-'));
  }

  /** The switch does not know where the guest is, until it hears of it. */
  forgetGuest(): void {
    const known = JSON.parse(
      execFileSync('bridge', ['-json', 'fdb', 'show', 'br', switchName], { encoding: 'utf8' }),
    ) as readonly {
      readonly mac: string;
      readonly ifname: string;
    }[];
    for (const { mac, ifname } of known)
      if (mac === guestMac) execFileSync('bridge', ['fdb', 'del', mac, 'dev', ifname, 'master']);
    this.moves.length = 0;
  }

  remove(device: string): void {
    ip('link', 'delete', 'dev', device);
  }

  rename(from: string, to: string): void {
    ip('link', 'set', from, 'name', to);
  }

  /** Pings the guest from outside until it is ended. */
  ping(): PingStream {
    const words = ['netns', 'exec', this.#outside, 'busybox', 'ping', '-i', String(pingSeconds), guestAddress];
    return new PingStream(spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] }));
  }

  /** The namespaces go with the last process in them. */
  close(): void {
    this.#monitor.kill();
    for (const name of [this.#inside, this.#outside]) ip('netns', 'delete', name);
  }
}

/** Replies of the guest as they come in, 50 a second while it answers. */
export class PingStream {
  readonly #child: ChildProcess;
  readonly replies: { readonly sequence: number; readonly atMs: number }[] = [];

  constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) return;
    createInterface(child.stdout).on('line', (line) => {
      const [, sequence] = / seq=(\d+) /.exec(line) ?? [];
      if (sequence !== undefined) this.replies.push({ sequence: Number(sequence), atMs: systemClock.monotonicMs() });
    });
  }

  /** How many were sent and not answered, and the longest silence in milliseconds, of the replies from this one on. */
  lossSince(first: number): { readonly lost: number; readonly silentMs: number } {
    const steps = this.replies.slice(first).flatMap((reply, index) => {
      const before = this.replies[first + index - 1];
      return before === undefined ? [] : [{ sequences: reply.sequence - before.sequence, ms: reply.atMs - before.atMs }];
    });
    const lost = steps.reduce((sum, { sequences }) => sum + Math.max(0, sequences - 1), 0);
    return { lost, silentMs: Math.round(Math.max(0, ...steps.map(({ ms }) => ms))) };
  }

  end(): void {
    this.#child.kill();
  }
}
