import type { Violation } from './checker.js';

/** A violation for a person: the invariant, the trace, and what the world looks like at its end. */
export function describeViolation(violation: Violation | null): string | null {
  if (violation === null) return null;
  const { invariant, trace, world } = violation;
  const steps = trace.map((label, index) => `${index + 1}. ${label}`);
  const source = `source: ${world.journal.stage}, agent ${world.source === null ? 'down' : 'up'}, QEMU ${world.sourceQemu}`;
  const activity = world.destination?.activity.t ?? 'none';
  const destination = `destination: ${world.record?.decision ?? 'no record'}, activity ${activity}, QEMU ${world.destinationQemu}`;
  return [
    `${invariant} is broken by ${violation.disturbances} disturbances:`,
    ...steps,
    source,
    destination,
    `lease: ${world.lease}`,
  ].join('\n');
}
