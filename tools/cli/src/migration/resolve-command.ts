import { type Command, Option } from 'commander';
import { destinationUrl, migrationIdOf, proofOf } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, connectOption, type Room } from '../leaf.js';

const warning = `
This decides a migration whose end nobody knows, by a person's word. A wrong word runs the guest twice or
loses it: keep the destination only when the guest cannot run on the source any more, keep the source only
when it cannot run on the destination. The proof is audited.`;

/** `vmferry migration resolve`: an administrator's word about a held guest (handover rule 5). */
export function addResolveCommand(migration: Command, room: Room): void {
  const command = migration
    .command('resolve')
    .summary('decide a held migration by hand')
    .description('decide a held migration by hand; asked of the destination-agent that holds the guest')
    .argument('<id>', 'id of the migration', migrationIdOf)
    .addOption(
      new Option('--keep <side>', 'the side whose copy of the guest is to live')
        .choices(['source', 'destination'])
        .makeOptionMandatory(),
    )
    .requiredOption(
      '--proof <text>',
      'how it is known that the other side does not run the guest: who fenced it and how',
      proofOf,
    )
    .addOption(
      connectOption('destination-agent (default: http://127.0.0.1:7802; VMFERRY_URL is of a source-agent)', destinationUrl),
    )
    .addHelpText('after', warning)
    .addHelpText(
      'after',
      examples(
        "migration resolve m1 --keep destination --proof 'host-a powered off by ops, ticket 4711' -c http://192.0.2.7:7802",
      ),
    );
  acts<{ keep: 'source' | 'destination'; proof: string }>(room, command, async (call) => {
    const { keep, proof } = call.options;
    const resolved = await call.destination().resolve(call.args[0] ?? '', { keep, proof });
    call.print(`Migration ${resolved.id} resolved for the ${keep}; its state is ${resolved.state}\n`, resolved);
    return undefined;
  });
}
