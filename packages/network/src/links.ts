import { execFile } from 'node:child_process';
import { VmferryError } from '@vmferry/errors';

/** A network device of this host. */
export interface Link {
  readonly index: number;
  readonly mtu: number;
  /** What kind of virtual device it is, such as `bridge` or `macvtap`; null for hardware. */
  readonly kind: string | null;
}

/** The network devices of this host, in the namespace of this process. */
export interface Links {
  /** Null when there is none of this name. */
  find(name: string): Promise<Link | null>;
  /** Each word is one argument of `ip link`. Throws `network-unavailable` with what it says. */
  change(...words: readonly string[]): Promise<void>;
}

const deadlineMs = 10_000;
const outputBytesMax = 1_048_576;
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** By iproute2. No shell sees a word, and names come from a definition that has been read: none begins with a hyphen. */
export const ipLinks: Links = {
  async find(name) {
    const { text, error } = await ip('-json', '-details', 'link', 'show', 'dev', name);
    if (error === null) return linkIn(name, text);
    if (/does not exist/.test(error)) return null;
    throw unavailable(`Nothing can be learned of the network device ${name}: ${error}.`);
  },
  async change(...words) {
    const { error } = await ip('link', ...words);
    if (error !== null) throw unavailable(`ip link ${words.join(' ')} failed: ${error}.`);
  },
};

export function unavailable(detail: string, data: Readonly<Record<string, unknown>> = {}): VmferryError {
  return new VmferryError('network-unavailable', detail, { data });
}

function ip(...words: readonly string[]): Promise<{ readonly text: string; readonly error: string | null }> {
  const options = { env: environment, timeout: deadlineMs, maxBuffer: outputBytesMax };
  return new Promise((resolve) => {
    execFile('ip', words, options, (failure, stdout, stderr) => {
      const said = stderr.trim().split('\n').join(' ');
      resolve({ text: stdout, error: failure === null ? null : said === '' ? failure.message : said.replace(/\.$/, '') });
    });
  });
}

function linkIn(name: string, text: string): Link {
  const [found] = JSON.parse(text) as readonly {
    readonly ifindex?: unknown;
    readonly mtu?: unknown;
    readonly linkinfo?: { readonly info_kind?: unknown };
  }[];
  const { ifindex, mtu, linkinfo } = found ?? {};
  if (typeof ifindex !== 'number' || typeof mtu !== 'number')
    throw unavailable(`ip tells of the network device ${name} what cannot be understood.`);
  return { index: ifindex, mtu, kind: typeof linkinfo?.info_kind === 'string' ? linkinfo.info_kind : null };
}
