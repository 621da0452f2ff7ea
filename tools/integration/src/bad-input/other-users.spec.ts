import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ByHand } from '../steps/by-hand.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();

interface User {
  readonly uid: number;
  readonly gid: number;
}
/** Neither root nor QEMU's user; a process that is started as it has no groups besides. */
const stranger: User = { uid: 4_242, gid: 4_242 };
const root: User = { uid: 0, gid: 0 };

/** Connects to each socket, opens each file, and prints what the kernel said to it. */
const probe = `
const [net, fs] = [require('net'), require('fs')];
const socket = (path) => new Promise((resolve) => {
  const end = net.connect(path, () => { end.destroy(); resolve('open'); }).on('error', ({ code }) => resolve(code));
});
const file = (path) => new Promise((resolve) => fs.open(path, 'r', (error) => resolve(error?.code ?? 'open')));
const asked = JSON.parse(process.argv[1]);
Promise.all([...asked.sockets.map(socket), ...asked.files.map(file)]).then((told) => console.log(JSON.stringify(told)));`;

interface Found {
  readonly sockets: readonly string[];
  readonly files: readonly string[];
}

function triedBy(user: User, found: Found): string[] {
  const told = execFileSync(process.execPath, ['-e', probe, JSON.stringify(found)], { ...user, cwd: '/', encoding: 'utf8' });
  return JSON.parse(told) as string[];
}

/** What lies in the folders of both hosts. */
function foundIn(world: World): Found {
  const entries = ['a', 'b'].flatMap((host) =>
    readdirSync(join(world.folder, host), { recursive: true, withFileTypes: true }).map((entry) => ({
      path: join(entry.parentPath, entry.name),
      entry,
    })),
  );
  const secret = entries.filter(({ path }) => /\/(state|run|relay)\//.test(path));
  return {
    sockets: secret.filter(({ entry }) => entry.isSocket()).map(({ path }) => path),
    files: secret.filter(({ entry }) => entry.isFile()).map(({ path }) => path),
  };
}

describe.runIf(process.getuid?.() === 0)('another user of the host', () => {
  it('threat 11: reaches no monitor, no stream, no lease and no journal, before a migration and while one is prepared', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare', { flags: ['LIVE', 'TUNNELLED'] });
      const found = foundIn(world);
      expect(found.sockets.length).toBeGreaterThan(3);
      expect(found.files.length).toBeGreaterThan(5);
      expect([...new Set(triedBy(stranger, found))]).toEqual(['EACCES']);
      // It is the user that makes the difference: each of the files is there for root.
      expect([...new Set(triedBy(root, { sockets: [], files: found.files }))]).toEqual(['open']);
      await hand.giveUp();
    }));
});
