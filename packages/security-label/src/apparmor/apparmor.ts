import { readlinkSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Findings, VmferryError } from '@vmferry/errors';
import type { Documents } from '../documents.js';
import { Turns } from '../file-labels.js';
import type {
  ExecLabel,
  GuestLabel,
  Labelled,
  LabelledDomain,
  OwnFiles,
  SecurityDriver,
  SecurityModel,
  SocketMaker,
} from '../security-driver.js';
import type { AppArmorKernel } from './kernel.js';
import { checkRulePath, type PathRule, permissions, profileName, profileText } from './profile.js';

/** What a guest runs under. Of a profile that is not ours (`static`) there are no rules. */
export interface Confinement {
  readonly profile: string;
  readonly rules: readonly PathRule[] | null;
}

export interface AppArmorOptions {
  readonly kernel: AppArmorKernel;
  readonly confinements: Documents<Confinement>;
  /** The host's own QEMU, for guests that name none. */
  readonly emulator: string;
  /** QEMU's own certificates, which it reads for a migration over TLS; null when the host has none. */
  readonly migrateTlsDir: string | null;
}

const model: SecurityModel = { model: 'apparmor', doi: '0' };
const rulesMax = 1_000;

/**
 * Mandatory access control by AppArmor: a profile for each guest, which names what its QEMU may use. Files keep what they have. Who may write is still the
 * owner's matter: beside `dac`, in a stack.
 */
export class AppArmorLabels implements SecurityDriver {
  readonly name = 'apparmor';
  readonly models = [model];
  readonly user = null;
  readonly #kernel: AppArmorKernel;
  readonly #confinements: Documents<Confinement>;
  readonly #emulator: string;
  readonly #migrateTlsDir: string | null;
  readonly #turns = new Turns();

  constructor({ kernel, confinements, emulator, migrateTlsDir }: AppArmorOptions) {
    this.#kernel = kernel;
    this.#confinements = confinements;
    this.#emulator = emulator;
    this.#migrateTlsDir = migrateTlsDir;
  }

  async faults(domain: LabelledDomain): Promise<readonly VmferryError[]> {
    const findings = new Findings();
    const { writable, readable, created, connected } = domain;
    const wish = wishOf(domain);
    if (wish?.type === 'static') findings.of(() => this.#checkLoaded(wish.label ?? ''));
    if (wish === undefined || wish.type === 'dynamic')
      for (const path of [...writable, ...readable, ...created, ...connected]) findings.of(() => checkRulePath(path));
    return findings.errors;
  }

  labelAll(domain: LabelledDomain): Promise<readonly string[]> {
    return this.#turns.take(async () => {
      const [first] = await this.faults(domain);
      if (first !== undefined) throw first;
      const wish = wishOf(domain);
      if (wish?.type === 'none') return [];
      if (wish?.type === 'static') await this.#confinements.write(domain.uuid, { profile: wish.label ?? '', rules: null });
      else await this.#confine(domain);
      return [];
    });
  }

  labelOwn({ uuid }: LabelledDomain, { folder, log }: OwnFiles): Promise<void> {
    return this.#add(uuid, [
      { path: folder, access: 'folder' },
      { path: log, access: 'write' },
    ]);
  }

  /** The guest is gone from here in any case: its profile goes with it. */
  restoreAll({ uuid }: LabelledDomain): Promise<void> {
    return this.release({ uuid });
  }

  async labelPath({ uuid }: LabelledDomain, path: string): Promise<void> {
    await this.#add(uuid, [{ path: await resolved(path), access: 'write' }]);
  }

  restorePath({ uuid }: LabelledDomain, path: string): Promise<void> {
    return this.#turns.take(async () => {
      const confinement = await this.#confinements.read(uuid);
      if (confinement === null || confinement.rules === null) return;
      const real = await resolved(path);
      const rules = confinement.rules.filter((rule) => rule.path !== real);
      if (rules.length < confinement.rules.length) await this.#load(uuid, rules);
    });
  }

  release({ uuid }: Labelled): Promise<void> {
    return this.#turns.take(async () => {
      const confinement = await this.#confinements.read(uuid);
      if (confinement === null) return;
      if (confinement.rules !== null) await this.#kernel.unload(confinement.profile);
      await this.#confinements.remove(uuid);
    });
  }

  /** The kernel keeps a profile as long as it runs. */
  reserve(): Promise<void> {
    return Promise.resolve();
  }

  async execLabels({ uuid }: Labelled): Promise<readonly ExecLabel[]> {
    const confinement = await this.#confinements.read(uuid);
    return confinement === null ? [] : [{ attribute: this.#kernel.execAttribute, text: `exec ${confinement.profile}` }];
  }

  async labelsOf({ uuid }: Labelled): Promise<readonly GuestLabel[]> {
    const confinement = await this.#confinements.read(uuid);
    return confinement === null ? [] : [{ ...model, label: confinement.profile }];
  }

  /** Also of an open file it is asked what the profile says of its path. */
  async labelImageFd({ uuid }: Labelled, fd: number): Promise<void> {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    if (path.startsWith('/')) await this.#add(uuid, [{ path, access: 'write' }]);
  }

  /** What has a path is a file; sockets and pipes that have none are those of any profile. */
  labelStreamFd(domain: Labelled, fd: number): Promise<void> {
    return this.labelImageFd(domain, fd);
  }

  socketMaker(): Promise<SocketMaker> {
    return Promise.resolve((make) => make());
  }

  async #confine({ uuid, emulator, writable, readable, created, connected }: LabelledDomain): Promise<void> {
    const rules = async (paths: readonly string[], access: PathRule['access']) =>
      Promise.all(paths.map(async (path) => ({ path: await resolved(path, access), access })));
    const wanted = [
      { path: await realpath(emulator ?? this.#emulator), access: 'execute' as const },
      ...(await rules(readable, 'read')),
      ...(await rules(this.#migrateTlsDir === null ? [] : [this.#migrateTlsDir], 'read-folder')),
      ...(await rules([...writable, ...created, ...connected], 'write')),
    ];
    await this.#load(uuid, wanted);
  }

  #add(uuid: string, more: readonly PathRule[]): Promise<void> {
    return this.#turns.take(async () => {
      const confinement = await this.#confinements.read(uuid);
      if (confinement === null || confinement.rules === null) return;
      const known = confinement.rules.map(({ path }) => path);
      const added = more.filter(({ path }) => !known.includes(path));
      if (added.length > 0) await this.#load(uuid, [...confinement.rules, ...added]);
    });
  }

  /** What is loaded is on disk before, so that it is unloaded whatever happens. */
  async #load(uuid: string, rules: readonly PathRule[]): Promise<void> {
    const profile = profileName(uuid);
    const text = profileText(profile, rules);
    const before = await this.#confinements.read(uuid);
    await this.#confinements.write(uuid, { profile, rules });
    try {
      await this.#kernel.load(text);
    } catch (error) {
      if (before === null) await this.#confinements.remove(uuid);
      else await this.#confinements.write(uuid, before);
      throw error;
    }
  }

  #checkLoaded(name: string): void {
    if (/^[\w./-]{1,255}$/.test(name) && this.#kernel.isLoaded(name)) return;
    throw new VmferryError('label-failed', `There is no AppArmor profile ${JSON.stringify(name)} on this host; load it first.`);
  }
}

/** What the definition wants of AppArmor. */
function wishOf({ secLabels }: LabelledDomain): LabelledDomain['secLabels'][number] | undefined {
  return secLabels.find(({ model: of }) => of === undefined || of === 'apparmor');
}

/** As the kernel sees it. A link in the place of what the guest writes is not followed: QEMU then has no access (threats, row 3). */
async function resolved(path: string, access: PathRule['access'] = 'write'): Promise<string> {
  return access === 'write' ? join(await realpath(dirname(path)), basename(path)) : realpath(path);
}

/** Checks a document; throws when it is none. */
export function parseConfinement(value: unknown): Confinement {
  if (typeof value !== 'object' || value === null || !('profile' in value) || !('rules' in value))
    throw new Error('profile or rules are missing');
  const { profile, rules } = value;
  if (typeof profile !== 'string') throw new Error('profile is no text');
  if (rules === null) return { profile, rules };
  if (!Array.isArray(rules) || rules.length > rulesMax) throw new Error(`rules are no list of at most ${rulesMax}`);
  return { profile, rules: rules.map(parseRule) };
}

function parseRule(rule: unknown): PathRule {
  if (typeof rule !== 'object' || rule === null || !('path' in rule) || !('access' in rule)) throw new Error('a rule is none');
  const { path, access } = rule;
  const known = (Object.keys(permissions) as PathRule['access'][]).find((each) => each === access);
  if (typeof path !== 'string' || known === undefined) throw new Error('a rule is none');
  checkRulePath(path);
  return { path, access: known };
}
