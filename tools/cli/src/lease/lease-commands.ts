import type { BreakLeaseRequest } from '@vmferry/api';
import { type Command, InvalidArgumentError } from 'commander';
import { epochOf, proofOf, uuidOf } from '../arguments.js';
import { leafOf } from '../domain/domain-leaf.js';
import { examples } from '../examples.js';
import { acts, type Room } from '../leaf.js';

const warning = `
This lets a guest be started although its owner has not let it go. A wrong word runs the guest twice: break a
lease only of a host that cannot run it any more. That a host does not answer is no proof. The proof is audited.
A lease whose owner is known to live is not broken.`;

interface BreakOptions {
  readonly epoch: string;
  readonly fencedBy?: string;
  readonly watchdog?: string;
  readonly statement?: string;
}

/** `vmferry lease show` and `vmferry lease break`. */
export function addLeaseCommands(program: Command, room: Room): void {
  const lease = program.command('lease').description('who may run a guest');
  const show = leafOf(lease, 'show', "show a guest's lease as a host's lock driver knows it").argument(
    '<uuid>',
    'of the guest',
    uuidOf,
  );
  acts(room, show, async (call) => {
    const shown = await call.source().lease(call.args[0] ?? '');
    const held = shown.heldHere ? 'this host has it' : 'this host does not have it';
    call.print(`Lease of ${shown.uuid} (${shown.driver}): epoch ${shown.epoch}, ${held}\n`, shown);
    return undefined;
  });

  const command = leafOf(lease, 'break', 'free the lease of a guest whose owner was fenced; give one proof')
    .argument('<uuid>', 'of the guest', uuidOf)
    .requiredOption('--epoch <n>', 'of the owner that is dead, as `lease show` tells it', epochOf)
    .option('--fenced-by <text>', 'which fencing device or cloud API answered that the owner is off', proofOf)
    .option('--watchdog <text>', 'how it is known that the watchdog has reset the owner; with the lock driver sanlock', proofOf)
    .option('--statement <text>', 'who has looked, and at what', proofOf)
    .addHelpText('after', warning)
    .addHelpText(
      'after',
      examples("lease break 6f3a6bb4-7d9c-4e0e-9b6e-5f2a3c1d8e01 --epoch 7 --fenced-by 'IPMI of host-a: chassis power is off'"),
    );
  acts<BreakOptions>(room, command, async (call) => {
    const { epoch } = call.options;
    const broken = await call.source().breakLease(call.args[0] ?? '', { epoch, proof: proofIn(call.options) });
    call.print(`Lease of ${broken.uuid} broken; its epoch is ${broken.epoch}\n`, broken);
    return undefined;
  });
}

function proofIn({ fencedBy, watchdog, statement }: BreakOptions): BreakLeaseRequest['proof'] {
  const given = [
    ...(fencedBy === undefined ? [] : [{ t: 'fenced', by: fencedBy } as const]),
    ...(watchdog === undefined ? [] : [{ t: 'watchdog', by: watchdog } as const]),
    ...(statement === undefined ? [] : [{ t: 'operator', statement } as const]),
  ];
  const [proof] = given;
  if (proof !== undefined && given.length === 1) return proof;
  throw new InvalidArgumentError('Give one proof: --fenced-by, --watchdog or --statement.');
}
