import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type AuditReport, verifyAudit } from '@vmferry/audit';
import { expect } from 'vitest';
import { eventually } from '../world/eventually.js';

const apps = ['source-agent', 'destination-agent', 'tunnel-relay'];
/** An end that an agent has to find out by itself is audited within this time, also on a busy machine. */
const completeMs = 25_000;

/**
 * I7, at the end of a run: over all that has happened on these hosts, each start and each stop of every guest stands in their audits once, and what was
 * not stopped is a process that lives.
 */
export async function expectAuditComplete(stateDirs: readonly string[]): Promise<void> {
  await eventually(async () => {
    for (const report of await Promise.all(stateDirs.map(reportOf))) {
      expect(report.faults, 'I7: what is missing or too much').toEqual([]);
      const gone = report.running.filter(({ pid }) => !existsSync(`/proc/${pid}`));
      expect(gone, 'I7: QEMUs that are gone and were not audited as stopped').toEqual([]);
    }
  }, completeMs);
}

/** What the audits of all apps of a host tell. */
export function reportOf(stateDir: string): Promise<AuditReport> {
  return verifyAudit(apps.map((app) => join(stateDir, `${app}.audit`)).filter((path) => existsSync(path)));
}
