import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DacLabels, parseRememberedOwners } from './dac.js';
import { guest, SpecDocuments } from './spec-helper.js';

const user = { uid: 64055, gid: 64056 };
const victimOwner = { uid: 7, gid: 8 };
const attackerOwner = { uid: 2001, gid: 2001 };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'label-'));
  chmodSync(folder, 0o711);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, owner: { uid: number; gid: number }): string {
  const path = join(folder, name);
  writeFileSync(path, 'content');
  chownSync(path, owner.uid, owner.gid);
  return path;
}

function ownerOf(path: string): { uid: number; gid: number } {
  const { uid, gid } = lstatSync(path);
  return { uid, gid };
}

/**
 * Swaps `disk` between a file of its own, a link to the file of someone else and a second name of it, as fast as it can, until it is ended. It runs as
 * root here, and so may do more than an attacker who can write in the folder.
 */
const attacker = `
import os, sys
os.chdir(sys.argv[1])
print('swapping', flush=True)
while True:
    os.symlink('victim', 'next'); os.rename('next', 'disk')
    open('next', 'w').close(); os.chown('next', 2001, 2001); os.rename('next', 'disk')
    os.link('victim', 'next'); os.rename('next', 'disk'); os.unlink('disk')
    open('next', 'w').close(); os.chown('next', 2001, 2001); os.rename('next', 'disk')
`;

const prepares = 10_000;

// Giving files away takes root, as on a host.
describe.runIf(process.getuid?.() === 0)('threat 3', () => {
  it(`threat 3: over ${prepares} prepares against a process that swaps links, the file of someone else is never given away`, {
    timeout: 120_000,
  }, async () => {
    const victim = file('victim', victimOwner);
    const memory = new SpecDocuments(parseRememberedOwners);
    const labels = new DacLabels({ user, memory, imageRoots: [folder] });
    const descriptors = readdirSync('/proc/self/fd').length;
    const swapper = spawn('python3', ['-c', attacker, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(swapper.stdout, 'data');
    const domain = guest('a', { writable: [join(folder, 'disk')] });
    const seen = { labelled: 0, refused: 0 };
    try {
      for (let round = 0; round < prepares; round += 1) {
        try {
          await labels.labelAll(domain);
          seen.labelled += 1;
          for (const { before } of (await memory.read('a'))?.files ?? []) expect(before).toEqual(attackerOwner);
        } catch (error) {
          if (!VmferryError.is(error, 'label-failed')) throw error;
          seen.refused += 1;
        }
        expect(ownerOf(victim)).toEqual(victimOwner);
        // What it cannot give back now, because a link stands there, it gives back or leaves alone the next time.
        await labels.restoreAll(domain, { migrated: false }).catch(() => undefined);
        expect(ownerOf(victim)).toEqual(victimOwner);
      }
    } finally {
      const ended = once(swapper, 'exit');
      swapper.kill('SIGKILL');
      await ended;
    }
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
    expect(Math.min(seen.labelled, seen.refused), JSON.stringify(seen)).toBeGreaterThan(prepares / 100);
  });

  it('threat 3: a file that was exchanged for another between the look and the change is not given away', async () => {
    const [disk, other] = [file('disk', attackerOwner), file('other', victimOwner)];
    const memory = new SpecDocuments(parseRememberedOwners);
    // The memory is written between the two: the one moment that a test can hold.
    const write = memory.write.bind(memory);
    memory.write = async (name, value) => {
      await write(name, value);
      rmSync(disk);
      writeFileSync(disk, '');
      chownSync(disk, victimOwner.uid, victimOwner.gid);
    };
    const labels = new DacLabels({ user, memory, imageRoots: [folder] });
    await expect(labels.labelAll(guest('a', { writable: [disk] }))).rejects.toMatchObject({
      code: 'label-failed',
      message: /exchanged/,
    });
    expect([ownerOf(disk), ownerOf(other), memory.texts.size]).toEqual([victimOwner, victimOwner, 0]);
  });
});

describe.runIf(process.getuid?.() === 0)('owners over several hosts that share a folder', () => {
  /** Each host remembers for itself; the file is one. */
  const host = () => {
    const memory = new SpecDocuments(parseRememberedOwners);
    return { memory, labels: new DacLabels({ user, memory, imageRoots: [folder] }) };
  };

  it('S18: from A to B to C the disk stays QEMU’s, and only A, where it was given, gives it back, once', async () => {
    const disk = file('disk', victimOwner);
    const domain = guest('a', { writable: [disk] });
    const [a, b, c] = [host(), host(), host()];
    await a.labels.labelAll(domain);
    await b.labels.labelAll(domain);
    await a.labels.restoreAll(domain, { migrated: true });
    await c.labels.labelAll(domain);
    await b.labels.restoreAll(domain, { migrated: true });
    expect(ownerOf(disk)).toEqual(user);
    expect(
      [a, b, c].map(({ memory }) => memory.texts.size),
      'who has something to give back',
    ).toEqual([1, 0, 0]);
    // It ends on C: the disk stays as it came there.
    await c.labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(disk)).toEqual(user);
    // It starts on A again, and ends there.
    await a.labels.labelAll(domain);
    await a.labels.restoreAll(domain, { migrated: false });
    expect([ownerOf(disk), a.memory.texts.size]).toEqual([victimOwner, 0]);
    chownSync(disk, 9, 9);
    for (const { labels } of [a, b, c]) await labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(disk)).toEqual({ uid: 9, gid: 9 });
  });

  it('S18: from A to B, to C and back to B: a guest that ends on a host which never gave it its disks changes nothing', async () => {
    const disk = file('disk', victimOwner);
    const domain = guest('a', { writable: [disk] });
    const [a, b, c] = [host(), host(), host()];
    await a.labels.labelAll(domain);
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, b],
    ] as const) {
      await to.labels.labelAll(domain);
      await from.labels.restoreAll(domain, { migrated: true });
      expect(ownerOf(disk)).toEqual(user);
    }
    // Another guest of B had the same disk meanwhile, and was the last to use it.
    const other = guest('other', { writable: [disk] });
    await b.labels.labelAll(other);
    await b.labels.restoreAll(other, { migrated: false });
    expect(ownerOf(disk)).toEqual(user);
    await b.labels.restoreAll(domain, { migrated: false });
    expect([ownerOf(disk), b.memory.texts.size, c.memory.texts.size]).toEqual([user, 0, 0]);
  });
});
