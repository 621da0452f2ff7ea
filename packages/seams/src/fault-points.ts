import { kill, pid } from 'node:process';

/**
 * A named place between two effects. In production every point is `noFaults`, which does nothing and returns at once; a test
 * names a point in the environment and turns it into a kill, a freeze, an error or a delay (handover-and-faults, Named fault
 * points).
 */
export type FaultPoints = (point: string) => Promise<void> | void;

export const noFaults: FaultPoints = () => undefined;

export type FaultKind = 'kill' | 'freeze' | 'error' | 'delay';

export interface FaultPlan {
  readonly point: string;
  readonly kind: FaultKind;
  /** For `delay`, milliseconds; at most 60,000. */
  readonly delayMs?: number;
}

/**
 * Reads `VMFERRY_FAULT` (`POINT=kill|freeze|error|delay:MS`, comma separated). Each entry fires once in the life of the process.
 * An entry that cannot be read throws: a fault that silently never fires would make a test pass for nothing.
 */
export function faultPointsFrom(text: string | undefined): FaultPoints {
  if (text === undefined || text === '') return noFaults;
  const plans = new Map(
    text
      .split(',')
      .map((entry) => parsePlan(entry))
      .map((plan) => [plan.point, plan]),
  );
  return (point) => {
    const plan = plans.get(point);
    if (plan === undefined) return undefined;
    plans.delete(point);
    return strike(plan);
  };
}

function parsePlan(entry: string): FaultPlan {
  const match = /^([A-Za-z0-9.+-]+)=(kill|freeze|error|delay)(?::(\d{1,5}))?$/.exec(entry);
  if (match === null) throw new Error(`VMFERRY_FAULT: cannot read "${entry}"; write POINT=kill|freeze|error|delay:MS`);
  const [, point = '', kind = 'kill', delayMs] = match;
  return { point, kind: kind as FaultKind, ...(delayMs === undefined ? {} : { delayMs: Math.min(Number(delayMs), 60_000) }) };
}

async function strike(plan: FaultPlan): Promise<void> {
  process.stderr.write(`fault point ${plan.point}: ${plan.kind}\n`);
  switch (plan.kind) {
    case 'kill':
      kill(pid, 'SIGKILL');
      return new Promise(() => undefined);
    case 'freeze':
      kill(pid, 'SIGSTOP');
      return;
    case 'error':
      throw new Error(`fault injected at ${plan.point}`);
    case 'delay':
      return new Promise((resolve) => setTimeout(resolve, plan.delayMs ?? 0));
  }
}
