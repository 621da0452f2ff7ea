import { describe, expect, it } from 'vitest';
import { check } from './checker.js';
import type { Clause } from './clauses.js';
import { describeViolation } from './describe-violation.js';
import type { Config } from './world.js';

const faults = Number(process.env.VMFERRY_MODEL_FAULTS ?? '2');
const whole = { protocol: 'v3', imageLock: false, faults, only: null, off: new Set<Clause>(), refusedMayRun: false } as const;

const guests = ['running', 'paused'] as const;
const configurations: readonly Config[] = [
  ...(['none', 'host', 'transfer', 'release'] as const).flatMap((lease) => guests.map((guest) => ({ ...whole, lease, guest }))),
  // A lock driver with state refuses v2 (S23), and so there is no lease to transfer.
  ...guests.map((guest) => ({ ...whole, protocol: 'v2' as const, lease: 'host' as const, guest })),
];

describe('the handover rule, every world within the given disturbances', () => {
  it.each(configurations)(
    'I1, I2, I3, I9, I10, I11 hold: $protocol, lease $lease, guest $guest',
    { timeout: 3_600_000 },
    (config) => {
      const { states, violation } = check(config);
      console.info(
        `model: ${config.protocol}, lease ${config.lease}, guest ${config.guest}: ${states} states within ${config.faults} disturbances`,
      );
      expect(describeViolation(violation)).toBeNull();
      expect(states).toBeGreaterThan(1_000);
    },
  );

  it('I1 to I11 hold with the image lock of QEMU too', { timeout: 600_000 }, () => {
    const { states, violation } = check({ ...whole, lease: 'transfer', guest: 'running', imageLock: true, faults: 1 });
    expect(describeViolation(violation)).toBeNull();
    expect(states).toBeGreaterThan(1_000);
  });

  it('I1, I2 hold even if a refused cont starts the guest later', { timeout: 600_000 }, () => {
    const only = ['QEMU refuses', 'a refused guest runs', 'the agent ends', 'the source QEMU dies'];
    const { violation } = check({ ...whole, lease: 'none', guest: 'running', refusedMayRun: true, only });
    expect(describeViolation(violation)).toBeNull();
  });

  it('I2: Finish with the permit, before the load was heard of and after an abort that could not be written', {
    timeout: 600_000,
  }, () => {
    const only = ['the destination loses the session', 'its record cannot be written', 'the source QEMU dies'];
    const { violation } = check({ ...whole, lease: 'transfer', guest: 'running', faults: 3, only });
    expect(describeViolation(violation)).toBeNull();
  });
});
