import { stat } from 'node:fs/promises';
import { type AuditReport, verifyAudit } from '@vmferry/audit';
import { type Command, InvalidArgumentError } from 'commander';
import { examples } from '../examples.js';
import { exitCodes } from '../exit-code.js';
import { acts, type Room } from '../leaf.js';
import { printable } from '../output/printable.js';

const behaviour = `
Follows the hash chain of each file, and looks whether each QEMU of each guest was started once and stopped once, or
not yet. A guest passes from one agent of its host to the other: give the files of both. Half a record at the end is
told and no fault: a crash leaves it, and the next record marks it. What was cut off whole at the end is seen by
comparing number and hash with those of an earlier run. Ends with 1 when something is wrong.`;

/** `vmferry audit ...`. */
export function addAuditCommands(program: Command, room: Room): void {
  const audit = program.command('audit').description('look into audit files').summary('audit files');
  const verify = audit
    .command('verify')
    .argument('<file...>', 'audit files of one host, STATE/*.audit')
    .description('verify the chain of audit files, and that no start or stop of a guest is missing or doubled')
    .summary('verify audit files')
    .addHelpText('after', behaviour)
    .addHelpText('after', examples('audit verify /var/lib/vmferry/source-agent.audit /var/lib/vmferry/destination-agent.audit'));
  acts(room, verify, async (call) => {
    for (const path of call.args) await checkFile(path);
    const report = await verifyAudit(call.args);
    call.print(reportText(report), report);
    return report.faults.length === 0 ? exitCodes.done : exitCodes.failed;
  });
}

async function checkFile(path: string): Promise<void> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) throw new InvalidArgumentError(`cannot read ${path}`);
}

function reportText({ files, running, faults, controls }: AuditReport): string {
  const lines = [
    ...files.map(({ path, records, torn, tornEndBytes, hash }) => {
      const marked = torn === 0 ? '' : `, ${torn} torn by crashes and marked`;
      const end = tornEndBytes === 0 ? '' : `, ${tornEndBytes} bytes of half a record at the end`;
      return `${path}: ${records} records${marked}${end}, hash ${hash}`;
    }),
    ...faults.map((fault) => `FAULT ${fault}`),
    ...running.map(({ name, uuid, pid, time }) => `not stopped: ${name} (${uuid}), process ${pid}, started at ${time}`),
    `${controls.length} starts and stops, ${faults.length} faults`,
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}
