import type { Command } from 'commander';
import { domainOf } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, type Call, type Room } from '../leaf.js';
import { tableText } from '../output/table.js';
import { leafOf, nameOf } from './domain-leaf.js';
import { jobFacts, memoryFacts, sizeText } from './domain-text.js';

/** What a running domain is asked; all of it is answered while it is being migrated. */
export function addAsking(domain: Command, room: Room): void {
  addQuestion(domain, room, 'blkstat', 'show what each disk of a running domain has read and written', async (call) => {
    const stats = await call.source().blockStats(nameOf(call));
    const rows = stats.disks.map((disk) => [
      disk.target,
      ...[disk.readRequests, disk.readBytes, disk.writeRequests, disk.writeBytes, disk.flushRequests].map(String),
    ]);
    call.print(tableText(['Target', 'Reads', 'Bytes read', 'Writes', 'Bytes written', 'Flushes'], rows), stats);
  });

  addQuestion(domain, room, 'blkinfo', 'show the sizes of each disk of a running domain, in bytes', async (call) => {
    const info = await call.source().blockInfo(nameOf(call));
    const rows = info.disks.map((disk) => [
      disk.target,
      ...[disk.capacityBytes, disk.allocationBytes, disk.physicalBytes].map(sizeText),
      disk.path,
    ]);
    call.print(tableText(['Target', 'Capacity', 'Allocation', 'Physical', 'Source'], rows), info);
  });

  addQuestion(domain, room, 'memstat', 'show what a running domain has of memory', async (call) => {
    const stats = await call.source().memoryStats(nameOf(call));
    call.print(memoryFacts(stats), stats);
  });

  addQuestion(domain, room, 'jobinfo', 'show the job of a domain, a migration for one, and the last one', async (call) => {
    const job = await call.source().job(nameOf(call));
    call.print(jobFacts(job), job);
  });

  addQuestion(
    domain,
    room,
    'jobabort',
    'ask the job of a domain to end without its aim: a migration is cancelled',
    async (call) => {
      const asked = await call.source().abortJob(nameOf(call));
      call.print(`The job of domain '${asked.name}' is asked to end\n`, asked);
    },
  );
}

function addQuestion(
  domain: Command,
  room: Room,
  name: string,
  description: string,
  ask: (call: Call<unknown>) => Promise<void>,
): void {
  const command = leafOf(domain, name, description)
    .argument('<domain>', 'name or uuid', domainOf)
    .addHelpText('after', examples(`domain ${name} web`));
  acts(room, command, async (call) => {
    await ask(call);
    return undefined;
  });
}
