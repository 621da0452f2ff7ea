import type { ArrivedTick } from '@vmferry/guest-image';
import { describe, expect, it } from 'vitest';
import { downtimeText, type Evidence, prove } from './proof.js';
import { listedDomains } from './vmferry.js';

const hosts = ['hostA', 'hostB'] as const;

/** Ten ticks on each host, 10 ms apart, with a downtime of 50 ms between them. */
function ticksOf(change: (tick: ArrivedTick) => Partial<ArrivedTick> = () => ({})): ArrivedTick[] {
  return Array.from({ length: 20 }, (_, index) => {
    const connection = index < 10 ? 0 : 1;
    const tick = {
      counter: index + 1,
      uptimeMs: 3_000 + index * 10,
      memory: 'ok' as const,
      atMs: index * 10 + connection * 50,
      connection,
    };
    return { ...tick, ...change(tick) };
  });
}

const running = (pid: number) => [{ pid, name: 'demo', state: 'running' }];
const good: Evidence = {
  domain: 'demo',
  hosts,
  ticks: ticksOf(),
  before: [running(11), []],
  after: [[], running(22)],
  alive: [22, 30],
};

describe('what the demo takes for a proof', () => {
  it('holds for a guest that moved', () => {
    expect(prove(good).map(({ holds }) => holds)).toEqual([true, true, true, true, true]);
  });

  it.each<[string, Partial<Evidence>]>([
    ['runs on both hosts', { after: [running(11), running(22)] }],
    ['left its first QEMU behind', { alive: [11, 22] }],
    ['is listed and has no process', { alive: [30] }],
    ['is paused there', { after: [[], [{ pid: 22, name: 'demo', state: 'paused' }]] }],
    ['was on the other host before', { before: [running(11), running(22)] }],
    ['was never heard there', { ticks: ticksOf().slice(0, 10) }],
    ['was heard from the first host again', { ticks: ticksOf(({ counter }) => (counter === 15 ? { connection: 0 } : {})) }],
    ['was restarted', { ticks: ticksOf(({ counter, connection }) => (connection === 1 ? { counter: counter - 10 } : {})) }],
    ['lost a tick', { ticks: ticksOf().filter(({ counter }) => counter !== 11) }],
    [
      'has a clock that began anew',
      { ticks: ticksOf(({ uptimeMs, connection }) => ({ uptimeMs: (uptimeMs ?? 0) - connection * 3_000 })) },
    ],
    [
      'has a clock that leapt',
      { ticks: ticksOf(({ uptimeMs, connection }) => ({ uptimeMs: (uptimeMs ?? 0) + connection * 5_000 })) },
    ],
    ['lost memory', { ticks: ticksOf(({ counter }) => (counter === 20 ? { memory: 'bad' } : {})) }],
    ['did not look at its memory', { ticks: ticksOf(() => ({ memory: 'unchecked' })) }],
  ])('does not hold for a guest that %s', (_, change) => {
    expect(prove({ ...good, ...change }).every(({ holds }) => holds)).toBe(false);
  });

  it('measures the downtime where the guest changed hosts', () => {
    expect(downtimeText(good.ticks, hosts)).toContain('60 ms from tick 10 of hostA to tick 11 of hostB');
  });
});

describe('the table of `vmferry domain list`', () => {
  it('is read by process, name and state', () => {
    const table = [
      ' Pid     Name   State',
      '-------------------------------------',
      ' 32124   demo   running   transient',
      ' 7       web    in shutdown',
      ' -       old    shut off',
      '',
    ].join('\n');
    expect(listedDomains(table)).toEqual([
      { pid: 32124, name: 'demo', state: 'running' },
      { pid: 7, name: 'web', state: 'in shutdown' },
    ]);
  });
});
