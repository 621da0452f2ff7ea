import { readdir, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type AppProcess, type Host, openDescriptors } from '@vmferry/lab';
import { expect } from 'vitest';
import type { World } from '../world/world.js';

/** What is meant to stay on a host, whatever has happened there. Logs of QEMU, leases and the records of migrations stay on purpose. */
const staying = [
  /^(source-agent|destination-agent|tunnel-relay)\.log$/,
  /^state\/host\.json$/,
  /^state\/(source-agent|destination-agent|tunnel-relay)\.lock$/,
  /^state\/(source-agent|destination-agent)\.events$/,
  /^state\/(source-agent|destination-agent|tunnel-relay)\.audit$/,
  /^state\/migrations\/[\w-]+\.[0-9a-f]{32}\.(incoming|outgoing)\.json$/,
  /^state\/locks\/vm-[0-9a-f-]{36}\.(lk|json|live\.[0-9a-f-]{36})$/,
  /^state\/locks\/display-port-\d+\.lk$/,
  /^state\/run\/[0-9a-f-]{36}\/qemu\.log$/,
  // The configuration, and the owners of labelled files: a guest that left keeps its files' labels (libvirt-protocol, A8).
  /^state\/(domains\/[0-9a-f-]{36}\.xml|labels\/[0-9a-f-]{36}\.json)$/,
];

/** What a host has besides as long as the guest is on it. */
const withGuest = [/^state\/run\/[0-9a-f-]{36}\/status\.xml$/, /^run\/[0-9a-f]{32}\/(src|dst)\.qmp$/];

/** I6: no file, socket or runtime folder but those that are meant to be there. */
export async function expectNoStrayFiles(host: Host, guestIsHere: boolean): Promise<void> {
  const allowed = guestIsHere ? [...staying, ...withGuest] : staying;
  const folder = dirname(host.stateDir);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => !entry.isDirectory());
  const paths = files.map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  expect(
    paths.filter((path) => !allowed.some((pattern) => pattern.test(path))),
    `I6: stray files on ${host.name}`,
  ).toEqual([]);
  expect((await readdir(host.runtimeDir)).length, `I6: runtime folders of guests on ${host.name}`).toBe(guestIsHere ? 1 : 0);
}

/** The disk belongs to the QEMU that runs. */
export async function expectLabelled(world: World): Promise<void> {
  expect((await stat(world.diskPath)).uid, 'the owner of the disk').toBe(65_534);
}

/**
 * I6: each agent and relay holds the descriptors that it held at rest. Connections that are kept for the next request come and go by themselves;
 * one whose other end is gone must not stay.
 */
export function expectNoStrayDescriptors(world: World, host: Host, guestIsHere: boolean): void {
  for (const app of host.apps) {
    const now = heldBy(app);
    expect(
      now.filter((kind) => kind === 'tcp close-wait'),
      `I6: half-closed connections of the ${app.name} on ${host.name}`,
    ).toEqual([]);
    const before = world.atRest.get(keyOf(host, app, guestIsHere));
    if (before !== undefined) expect(lasting(now), `I6: descriptors of the ${app.name} on ${host.name}`).toEqual(before);
  }
}

/** Notes what everybody holds now, while nothing is under way. */
export function noteDescriptors(world: World, guestRuns: boolean): void {
  for (const host of world.hosts) {
    for (const app of host.apps) world.atRest.set(keyOf(host, app, guestRuns && host === world.here), lasting(heldBy(app)));
  }
}

function keyOf(host: Host, app: AppProcess, guestIsHere: boolean): string {
  return `${host.name} ${app.name}${app === host.source && guestIsHere ? ' with the guest' : ''}`;
}

function heldBy(app: AppProcess): string[] {
  return openDescriptors(app.pid);
}

function lasting(kinds: readonly string[]): string[] {
  return kinds.filter((kind) => !kind.startsWith('tcp ') || kind === 'tcp listen');
}
