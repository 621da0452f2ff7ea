import type { CookieGraphics } from '@vmferry/cookie';
import { describe, expect, it } from 'vitest';
import { outgoingRig } from '../testing/outgoing-rig.js';
import { scriptedMonitor } from '../testing/scripted-monitor.js';
import { silentLog } from '../testing/spec-parts.js';

const runs = { status: 'running', running: true, singlestep: false };
const stopped = { status: 'postmigrate', running: false, singlestep: false };

/** A migration whose QEMU completes as soon as it is told to migrate; `does` is what QEMU tells besides, at that moment. */
async function migrating(does: (event: (name: string, data: unknown) => void) => void = () => undefined) {
  const commands: { name: string; args: unknown }[] = [];
  const warnings: string[] = [];
  const monitor = await scriptedMonitor((name, args) => {
    commands.push({ name, args });
    if (name === 'cont') monitor.answers['query-status'] = runs;
    if (name !== 'migrate') return;
    monitor.answers['query-migrate'] = { status: 'completed' };
    monitor.answers['query-status'] = stopped;
    setImmediate(() => {
      does(monitor.event);
      monitor.event('MIGRATION', { status: 'completed' });
    });
  });
  monitor.answers['query-status'] = runs;
  const log = { ...silentLog, warn: (message: string) => void warnings.push(message), child: () => log };
  const rig = await outgoingRig(monitor, log);
  const { statuses } = rig.context.guestHost;
  const written: string[] = [];
  const write = statuses.write.bind(statuses);
  statuses.write = (status) => {
    written.push(`${status.state}/${status.reason}`);
    return write(status);
  };
  const begun = await rig.outgoings.begin('m1', { domain: 'guest', flags: ['LIVE'] }, 'spec');
  const domain = rig.domains.of('guest');
  const perform = (graphics?: CookieGraphics) =>
    rig.outgoings.perform('m1', { nonce: begun.nonce, cookie: rig.prepared(begun, graphics) }, 'spec', () => undefined);
  const confirm = () =>
    rig.outgoings.confirm('m1', { nonce: begun.nonce, cookie: '', cancelled: false }, AbortSignal.timeout(10_000));
  return { ...rig, monitor, commands, warnings, written, domain, perform, confirm };
}

describe('S22: after QEMU has completed, the source is paused by its migration until Confirm', () => {
  const stop = (event: (name: string, data: unknown) => void) => event('STOP', {});
  it.each([
    ['without any STOP', () => undefined],
    ['with a STOP', stop],
    ['with two', (event: Parameters<typeof stop>[0]) => [stop(event), stop(event)]],
  ])('%s; that is written once', async (_what, does) => {
    const { domain, written, perform, confirm, record } = await migrating(does);
    await perform();
    await expect.poll(() => domain.state).toEqual({ state: 'paused', reason: 'migration' });
    record.answer = 'committed';
    expect(await confirm()).toMatchObject({ outcome: 'committed', state: 'SUCCEEDED' });
    expect(written.filter((state) => state === 'paused/migration')).toHaveLength(1);
  });

  it('and runs again by Confirm alone, when the record says aborted', async () => {
    const { domain, commands, perform, confirm, record } = await migrating();
    await perform();
    await expect.poll(() => domain.state).toEqual({ state: 'paused', reason: 'migration' });
    expect(commands.map(({ name }) => name)).not.toContain('cont');
    record.answer = 'aborted';
    expect(await confirm()).toMatchObject({ outcome: 'aborted', state: 'FAILED' });
    expect(domain.state).toEqual({ state: 'running', reason: 'migration canceled' });
  });
});

describe('the display of the guest', () => {
  const spice = { type: 'spice', port: 5930, tlsPort: 5931, listen: '0.0.0.0', certSubject: 'CN=far' } as const;

  it('S30: SPICE clients go on at the host that the cookie of Prepare names', async () => {
    const { commands, perform } = await migrating();
    await perform(spice);
    expect(commands.find(({ name }) => name === 'client_migrate_info')?.args).toEqual({
      'protocol': 'spice',
      'hostname': 'far.example',
      'port': 5930,
      'tls-port': 5931,
      'cert-subject': 'CN=far',
    });
  });

  it('S44: QEMU is told of it before it is told to migrate', async () => {
    const { commands, perform } = await migrating();
    await perform({ type: 'spice', port: 5930, tlsPort: -1, listen: '0.0.0.0' });
    const order = commands.map(({ name }) => name).filter((name) => name.includes('migrate'));
    expect(order.indexOf('client_migrate_info')).toBeGreaterThan(-1);
    expect(order.indexOf('client_migrate_info')).toBeLessThan(order.indexOf('migrate'));
    expect(commands.find(({ name }) => name === 'client_migrate_info')?.args).not.toHaveProperty('tls-port');
  });

  it('S44: that QEMU refuses it is a warning, and the guest goes over', async () => {
    const { monitor, warnings, perform } = await migrating();
    monitor.answers.client_migrate_info = new Error('spice is not in use');
    expect((await perform(spice)).cookie).not.toBe('');
    expect(warnings).toEqual([expect.stringContaining('SPICE clients')]);
  });

  it.each([
    ['VNC', { type: 'vnc', port: 5901, tlsPort: -1, listen: '0.0.0.0' } as const],
    ['no display', undefined],
  ])('S44: %s has nothing to send on', async (_what, graphics) => {
    const { commands, perform } = await migrating();
    await perform(graphics);
    expect(commands.map(({ name }) => name)).not.toContain('client_migrate_info');
  });
});

describe('S34: Confirm leaves the domain to its caller', () => {
  it('a transient one is gone from the host, and the migration can still tell of it', async () => {
    const { domain, domains, outgoings, uuid, perform, confirm, record } = await migrating();
    const outgoing = outgoings.byId('m1');
    await perform();
    record.answer = 'committed';
    await confirm();
    expect(domains.byUuid(uuid)).toBeUndefined();
    expect(outgoing.domain).toBe(domain);
    expect(domain.toResource()).toMatchObject({ name: 'guest', state: 'shutoff', reason: 'migrated', pid: null, job: null });
    expect(await confirm(), 'again').toMatchObject({ outcome: 'committed' });
  });
});

describe('a guest that panics at the end of its transfer', () => {
  it('I11: is not handed over and not let go on: it ends here as crashed, and the migration fails for it', async () => {
    const { domain, outgoings, commands, perform, confirm, record } = await migrating((event) => {
      record.answer = 'aborted';
      event('GUEST_PANICKED', { action: 'pause' });
    });
    await perform().catch(() => undefined);
    expect(await confirm()).toMatchObject({ state: 'FAILED' });
    expect(domain.state).toEqual({ state: 'shutoff', reason: 'crashed' });
    expect(commands.map(({ name }) => name)).not.toContain('cont');
    expect(outgoings.byId('m1').live.value.error).toMatchObject({ code: 'migration-failed', side: 'source' });
  });
});
