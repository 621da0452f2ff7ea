import { describe, expect, it } from 'vitest';
import { outgoingRig } from '../testing/outgoing-rig.js';
import { scriptedMonitor } from '../testing/scripted-monitor.js';
import { silentLog } from '../testing/spec-parts.js';
import { Lifecycle } from './lifecycle.js';

const status = (name: string) => ({ status: name, running: name === 'running', singlestep: false });

/** A guest that runs under a scripted QEMU; `onCommand` sees each command before it is answered. */
async function running(onCommand: (name: string) => void = () => undefined) {
  const commands: string[] = [];
  const errors: string[] = [];
  const told: string[] = [];
  const monitor = await scriptedMonitor((name) => {
    commands.push(name);
    onCommand(name);
  });
  monitor.answers['query-status'] = status('running');
  const log = { ...silentLog, error: (message: string) => void errors.push(message), child: () => log };
  const rig = await outgoingRig(monitor, log);
  const { events, guestHost } = rig.context;
  const written: string[] = [];
  const write = guestHost.statuses.write.bind(guestHost.statuses);
  guestHost.statuses.write = (document) => {
    written.push(`${document.state}/${document.reason}`);
    return write(document);
  };
  const emit = events.emit.bind(events);
  events.emit = (domain, event) => {
    told.push(`${event.event}/${event.detail}`);
    return emit(domain, event);
  };
  const stop = (name: string) => {
    monitor.answers['query-status'] = status(name);
    monitor.event('STOP', {});
  };
  const domain = rig.domains.of('guest');
  /** What was asked on account of an event is answered: the monitor answers in order. */
  const heardOf = async () => {
    for (let times = 0; times < 5; times += 1) await domain.activeGuest().qmp.execute('query-name', {});
  };
  commands.length = 0;
  const lifecycle = new Lifecycle(rig.context);
  return { ...rig, monitor, commands, errors, told, written, stop, heardOf, domain, lifecycle };
}

describe('QEMU stops the guest by itself', () => {
  it.each([
    ['io-error', 'ioerror', 'suspended/ioerror'],
    ['watchdog', 'watchdog', 'suspended/watchdog'],
    ['internal-error', 'unknown', 'suspended/paused'],
  ])('A9: %s: it is paused for that reason, and the event tells it', async (name, reason, event) => {
    const { domain, told, stop, heardOf } = await running();
    stop(name);
    await expect.poll(() => domain.state).toEqual({ state: 'paused', reason });
    expect(told).toEqual([event]);
    stop(name);
    await heardOf();
    expect(told, 'once').toEqual([event]);
  });

  it('A9: again, as soon as it is resumed, and before it is known to run: it is paused', async () => {
    const { domain, told, monitor, stop, lifecycle } = await running((name) => {
      if (name !== 'cont') return;
      // The answer to `cont` comes after both.
      monitor.event('RESUME', {});
      stop('io-error');
    });
    stop('io-error');
    await expect.poll(() => domain.state).toEqual({ state: 'paused', reason: 'ioerror' });
    await lifecycle.resume(domain, 'spec');
    expect(domain.state).toEqual({ state: 'paused', reason: 'ioerror' });
    expect(told).toEqual(['suspended/ioerror', 'resumed/unpaused', 'suspended/ioerror']);
  });
});

describe('a STOP that is not of QEMU’s own', () => {
  it('A9: a user has asked for it: told once, for that reason', async () => {
    const { domain, told, written, stop, heardOf, lifecycle } = await running((name) => name === 'stop' && stop('paused'));
    await lifecycle.suspend(domain, 'spec');
    await heardOf();
    expect(written).toEqual(['paused/user']);
    expect(told).toEqual(['suspended/paused']);
  });

  it('A9: the guest has switched itself off: its QEMU, which is being ended, is asked nothing', async () => {
    const { domain, told, errors, commands, monitor, stop } = await running();
    monitor.event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    stop('shutdown');
    await expect.poll(() => domain.state).toEqual({ state: 'shutoff', reason: 'shutdown' });
    expect(told).toEqual(['stopped/shutdown']);
    expect([commands, errors]).toEqual([[], []]);
  });

  it('S22: a migration has the guest in hand: it alone says why the guest stands still', async () => {
    const { told, written, stop, heardOf, outgoings } = await running();
    await outgoings.begin('m1', { domain: 'guest', flags: ['LIVE'] }, 'spec');
    stop('io-error');
    await heardOf();
    expect(written.filter((state) => state !== 'running/booted')).toEqual([]);
    expect(told).toEqual([]);
  });
});
