import { execFileSync } from 'node:child_process';
import { enterNetworkNamespace, mayAdministerNetwork } from '@vmferry/posix';

/** What of this machine is in the way of suites that make network devices, for their names; null when nothing is. */
export const forbidden = mayAdministerNetwork() ? null : 'SKIPPED, for CAP_NET_ADMIN is missing';

export function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8' });
}

/** This process and all that it starts are in a network namespace of their own from now on. The function that is returned forgets its name. */
export function ownNamespace(): () => void {
  const name = `vmferry-net-${process.pid}`;
  ip('netns', 'add', name);
  enterNetworkNamespace(`/run/netns/${name}`);
  return () => void ip('netns', 'del', name);
}

/** The names of all devices, without the loopback. */
export function devices(): string[] {
  const shown = JSON.parse(ip('-json', 'link', 'show')) as readonly { readonly ifname: string }[];
  return shown.map(({ ifname }) => ifname).filter((name) => name !== 'lo');
}
