import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatDomain, parseDomain } from '@vmferry/domain';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DomainConfigs } from './domain-configs.js';
import type { DomainStatus, StatusFile } from './domain-status.js';
import { DomainStatuses } from './domain-statuses.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';

function domainXml(type = 'qemu', id = uuid): string {
  return `<domain type='${type}'><name>web</name><uuid>${id}</uuid><memory unit='KiB'>65536</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type></os><metadata><a:b xmlns:a='urn:x'>it's "kept" &amp; more</a:b></metadata></domain>`;
}

const settled = formatDomain(parseDomain(domainXml()));

const status: DomainStatus = {
  uuid,
  name: 'web',
  owner: 'destination',
  persistent: true,
  state: 'paused',
  reason: 'migration',
  process: { pid: 4242, startTimeTicks: '123456', bootId: '0b5d6c0e-7a5e-4a58-8c3e-1f0d7f3f2a11' },
  monitors: { source: '/run/v/a/source.qmp', destination: '/run/v/a/destination.qmp' },
  logPath: '/var/log/q.log',
  runtimeDir: '/run/v/a',
  migration: { id: 'm-1', nonce: 'ab'.repeat(16), role: 'destination' },
  tainted: ['custom-monitor', 'external-launch'],
  domainXml: settled,
};

let dir: string;
let reports: string[];
let statuses: DomainStatuses;
let configs: DomainConfigs;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'status-'));
  reports = [];
  const report = ({ path }: { path: string }) => reports.push(path);
  statuses = new DomainStatuses({ dir: join(dir, 'run'), report });
  configs = new DomainConfigs({ dir: join(dir, 'domains'), report });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const path = () => join(dir, 'run', uuid, 'status.xml');

describe('the status of a guest', () => {
  it('S48: comes back as it was written, with state and reason', async () => {
    await statuses.write(status);
    expect(await statuses.read(uuid)).toEqual(status);
    expect(await statuses.list()).toEqual([{ name: uuid, value: status }]);
    const text = readFileSync(path(), 'utf8');
    expect(text).toContain(`<domstatus version='1' state='paused' reason='migration'`);
    const least = { ...status, migration: null, tainted: [] };
    await statuses.write(least);
    expect(await statuses.read(uuid)).toEqual(least);
  });

  it.each<StatusFile>([
    { t: 'saving', path: "/a'b<c>/image", dev: '18446744073709551615', ino: '7', wasRunning: true },
    { t: 'restoring', path: '/srv/image' },
  ])('keeps the file that the guest is saved to or restored from: $t', async (file) => {
    await statuses.write({ ...status, file });
    expect(await statuses.read(uuid)).toEqual({ ...status, file });
    await statuses.write({ ...status, file: null });
    expect(await statuses.read(uuid)).toEqual(status);
  });

  it('S48: keeps any text in its fields', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((value) => value.trim() === value && /^[^\p{C}]*$/u.test(value));
    await fc.assert(
      fc.asyncProperty(text, text, fc.boolean(), async (logPath, id, persistent) => {
        const odd = { ...status, owner: 'source', persistent, logPath, migration: { id, nonce: 'n', role: 'source' } } as const;
        await statuses.write(odd);
        expect(await statuses.read(uuid)).toEqual(odd);
      }),
      { numRuns: 50 },
    );
  });

  it('is not written when it could not be read again', async () => {
    await statuses.write(status);
    const bad: Partial<DomainStatus>[] = [
      { reason: 'booted' },
      { state: 'flying' },
      { name: 'other' },
      { domainXml: domainXml('lxc') },
      { domainXml: '<domain' },
    ];
    for (const change of bad) await expect(statuses.write({ ...status, ...change })).rejects.toHaveProperty('code');
    expect(await statuses.read(uuid)).toEqual(status);
  });

  it('is adopted once; then its old owner can no longer write it', async () => {
    await statuses.write(status);
    const mine = await statuses.adopt(uuid);
    expect(mine).toEqual({ ...status, owner: 'source' });
    expect(await statuses.adopt(uuid)).toEqual(mine);
    await expect(statuses.write(status)).rejects.toMatchObject({ code: 'handover-pending' });
    expect(await statuses.read(uuid)).toEqual(mine);
    await statuses.remove(uuid);
    await expect(statuses.adopt(uuid)).rejects.toMatchObject({ code: 'domain-not-found' });
    await statuses.write(status);
  });

  it('leaves the log in the folder of the guest when it is removed', async () => {
    await statuses.write(status);
    writeFileSync(join(dir, 'run', uuid, 'qemu.log'), 'x');
    await statuses.remove(uuid);
    expect(await statuses.list()).toEqual([]);
    expect(readdirSync(join(dir, 'run', uuid))).toEqual(['qemu.log']);
  });

  it.each<[string, (text: string) => string]>([
    ['another version', (text) => text.replace("version='1'", "version='2'")],
    ['another root', (text) => text.replaceAll('domstatus', 'status')],
    ['a state with the reason of another', (text) => text.replace("reason='migration'", "reason='booted'")],
    ['no owner', (text) => text.replace("owner='destination'", '')],
    ['a pid of 0', (text) => text.replace("pid='4242'", "pid='0'")],
    ['two processes', (text) => text.replace(/(<process[^>]*>)/, '$1$1')],
    ['no monitor of the source-agent', (text) => text.replace("agent='source'", "agent='nobody'")],
    ['a domain of another uuid', (text) => text.replace(uuid, uuid.replace('6f5a', '7f5a'))],
    ['S12: a domain of another type', (text) => text.replace("type='qemu'", "type='lxc'")],
    ['a taint that is not known', (text) => text.replace('custom-monitor', 'magic')],
    ['a DOCTYPE', (text) => `<!DOCTYPE x>${text}`],
    ['half of it', (text) => text.slice(0, text.length / 2)],
    ['nothing', () => ''],
  ])('I12: with %s it is set aside, reported, and refused from then on', async (_, damage) => {
    await statuses.write(status);
    const damaged = damage(readFileSync(path(), 'utf8'));
    writeFileSync(path(), damaged);
    await expect(statuses.read(uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
    await expect(statuses.write({ ...status, owner: 'source' })).rejects.toMatchObject({ code: 'state-unreadable' });
    expect(await statuses.list()).toEqual([]);
    expect(reports).toEqual([path()]);
    expect(await statuses.unreadable()).toEqual([`${path()}.unreadable-1`]);
    expect(readFileSync(`${path()}.unreadable-1`, 'utf8')).toBe(damaged);
  });
});

describe('the configuration of a domain', () => {
  it('comes back with the elements that nobody understands', async () => {
    await configs.write(uuid, settled);
    expect(await configs.read(uuid)).toBe(settled);
    expect(await configs.list()).toEqual([{ name: uuid, value: settled }]);
    await configs.remove(uuid);
    expect(await configs.read(uuid)).toBeNull();
  });

  it('S12: is neither written nor read when it is of another type, and not under another uuid', async () => {
    await expect(configs.write(uuid, domainXml('lxc'))).rejects.toMatchObject({ code: 'domain-type-unexpected' });
    await expect(configs.write(uuid.replace('6f5a', '7f5a'), settled)).rejects.toHaveProperty('code');
    mkdirSync(join(dir, 'domains'), { recursive: true });
    writeFileSync(join(dir, 'domains', `${uuid}.xml`), `<domainconfig version='1'>${domainXml('lxc')}</domainconfig>`);
    await expect(configs.read(uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
    expect(reports).toHaveLength(1);
  });

  it.each([
    "<domainconfig version='1'/>",
    `<domainconfig version='2'>${domainXml()}</domainconfig>`,
    domainXml(),
    `<domainconfig version='1'>${domainXml()}${domainXml()}</domainconfig>`,
  ])('I12: %s is set aside', async (text) => {
    mkdirSync(join(dir, 'domains'), { recursive: true });
    writeFileSync(join(dir, 'domains', `${uuid}.xml`), text);
    await expect(configs.read(uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
    await expect(configs.write(uuid, settled)).rejects.toMatchObject({ code: 'state-unreadable' });
  });
});
