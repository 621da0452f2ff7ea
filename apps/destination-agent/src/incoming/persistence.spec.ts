import { VmferryError } from '@vmferry/errors';
import { beforeEach, describe, expect, it } from 'vitest';
import type { IncomingEvents } from './incoming-events.js';
import type { IncomingJournal } from './incoming-journal.js';
import { Persistence } from './persistence.js';

const uuid = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const ours = '<ours/>\n';

/** What is on disk; the journal and the configuration of one domain. */
class Disk {
  config: string | null;
  before: IncomingJournal['configBefore'] = null;
  readonly did: string[] = [];
  /** Writes of the configuration that fail: `whole` after it is in its place, as when only the last fsync failed. */
  failing: 'no' | 'before' | 'whole' = 'no';

  constructor(config: string | null) {
    this.config = config;
  }

  /** A life of the agent that acts on this disk, as far as `persist` says so. */
  life(persist = true): Persistence {
    const journal = { domain: { uuid, name: 'web', sourceName: 'web', xml: ours, persist } };
    const events = {
      defined: (detail) => this.did.push(`defined ${detail}`),
      putBack: (before) => this.did.push(`put back ${before ?? 'nothing'}`),
    } satisfies Partial<IncomingEvents>;
    return new Persistence({
      configs: {
        read: () => Promise.resolve(this.config),
        write: (_uuid, xml) => this.#write(xml),
        remove: () => this.#write(null),
      },
      events: events as Partial<IncomingEvents> as IncomingEvents, // What is under test tells nothing else.
      journal: () => ({ ...journal, configBefore: this.before }) as IncomingJournal, // It reads nothing else of it.
      write: async ({ configBefore }) => {
        await Promise.resolve();
        this.before = configBefore;
        this.did.push('journal');
      },
    });
  }

  async #write(xml: string | null): Promise<void> {
    await Promise.resolve();
    if (this.failing !== 'before') this.config = xml;
    if (this.failing !== 'no') throw new VmferryError('state-unwritable', 'The disk is full.');
    this.did.push('write');
  }
}

let disk: Disk;
beforeEach(() => {
  disk = new Disk('<old/>\n');
});

describe('the configuration of a domain that comes in', () => {
  it('S13: what was there is journalled before it is replaced; told once', async () => {
    const life = disk.life();
    await Promise.all([life.foresee(), life.keep(), life.keep()]);
    expect(disk).toMatchObject({ config: ours, before: { xml: '<old/>\n' }, did: ['journal', 'write', 'defined updated'] });
  });

  it('S13: costs nothing when nothing is to be kept', async () => {
    const life = disk.life(false);
    await life.foresee();
    await life.keep();
    await life.putBack();
    expect(disk).toMatchObject({ config: '<old/>\n', before: null, did: [] });
  });

  it('S13: one that its user has changed between load and Finish is what comes back', async () => {
    const life = disk.life();
    await life.foresee();
    disk.config = '<newer/>\n';
    await life.keep();
    await life.putBack();
    expect(disk.config).toBe('<newer/>\n');
  });

  it('S13: one that its user writes after ours stays', async () => {
    const life = disk.life();
    await life.keep();
    disk.config = '<newer/>\n';
    await life.putBack();
    expect([disk.config, disk.did.at(-1)]).toEqual(['<newer/>\n', 'defined updated']);
  });

  it.each(['before', 'whole'] as const)(
    'S13: a write that fails (%s) is told by its own code, can be tried again, and leaves nothing',
    async (failing) => {
      disk = new Disk(null);
      disk.failing = failing;
      const life = disk.life();
      await expect(life.keep()).rejects.toMatchObject({ code: 'persist-failed', row: { libvirt: 69 } });
      expect(disk.did).toEqual(['journal']);
      disk.failing = 'no';
      await disk.life().putBack();
      expect(disk.config).toBeNull();
      await life.keep();
      expect([disk.config, disk.did.at(-1)]).toEqual([ours, 'defined added']);
    },
  );

  const lives = [
    ['foresee'],
    ['keep'],
    ['foresee', 'keep'],
    ['keep', 'foresee'],
    ['keep', 'keep'],
    ['foresee', 'foresee'],
  ] as const;

  it.each([null, '<old/>\n', ours].flatMap((was) => lives.map((acts) => [was, acts] as const)))(
    'S13: from %j, with lives of the agent that do %j, it is ours after a commit, and as it was after an abort',
    async (was, acts) => {
      disk = new Disk(was);
      for (const act of acts) await disk.life()[act]();
      await disk.life().keep();
      expect(disk.config).toBe(ours);
      await disk.life().putBack();
      await disk.life().putBack();
      expect(disk.config).toBe(was);
    },
  );
});

it('S31: OFFLINE: one that somebody has removed before the commit is written again, and one that is there is left alone', async () => {
  const life = disk.life();
  await life.keep();
  disk.config = null;
  await life.ensure();
  expect(disk.config).toBe(ours);
  disk.config = '<theirs/>';
  await life.ensure();
  expect(disk.config).toBe('<theirs/>');
});
