import { resolve } from 'node:path';
import { type ManagedSave, managedSave, type SavedImage } from '@vmferry/api';
import { type Command, Option } from 'commander';
import { bandwidthOf, domainOf } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, type Call, type Room } from '../leaf.js';
import { bytesText } from '../output/units.js';
import { leafOf, nameOf } from './domain-leaf.js';

interface SaveOptions {
  readonly format?: ManagedSave['format'];
  readonly bandwidth?: number;
  readonly xml?: string;
  readonly running?: true;
  readonly paused?: true;
}

interface DumpOptions extends Pick<SaveOptions, 'format' | 'bandwidth'> {
  readonly memoryOnly?: true;
  readonly live?: true;
  readonly crash?: true;
  readonly reset?: true;
}

const formats = managedSave.shape.format.unwrap().options;

/** virsh's save, restore, managedsave and managedsave-remove. A path is one of the host, and absolute there: one that is not is taken from here. */
export function addSaving(domain: Command, room: Room): void {
  const save = saveOptions(leafOf(domain, 'save', 'save a guest to a file of the host and end it there'))
    .argument('<domain>', 'name or uuid', domainOf)
    .argument('<file>', 'on the host; what it had is replaced once the image is whole, and only another image is')
    .addHelpText(
      'after',
      examples('domain save web /var/tmp/web.save', 'domain save web /var/tmp/web.save --format zstd --bandwidth 200'),
    );
  acts<SaveOptions>(room, save, async (call) => {
    const saved = await call.source().save(nameOf(call), { path: resolve(call.args[1] ?? ''), ...(await wishOf(call)) });
    call.print(`Domain '${nameOf(call)}' saved to ${sizeOf(saved)}\n`, saved);
    return undefined;
  });

  const restore = runState(leafOf(domain, 'restore', 'let a guest go on from the file that it was saved to; the file stays'))
    .argument('<file>', 'on the host')
    .option('--xml <file>', 'another definition, with which the guest sees the same machine; - reads stdin')
    .addHelpText('after', examples('domain restore /var/tmp/web.save', 'domain restore /var/tmp/web.save --paused'));
  acts<SaveOptions>(room, restore, async (call) => {
    const { xml, state } = await wishOf(call);
    const wish = { ...(xml === undefined ? {} : { xml }), ...(state === undefined ? {} : { state }) };
    const restored = await call.source().restore({ path: resolve(call.args[0] ?? ''), ...wish });
    call.print(`Domain '${restored.name}' restored from ${call.args[0]}\n`, restored);
    return undefined;
  });

  const managed = saveOptions(leafOf(domain, 'managedsave', 'save a guest to an image of its own, which its next start uses'))
    .argument('<domain>', 'name or uuid', domainOf)
    .addHelpText('after', examples('domain managedsave web', 'domain start web'));
  acts<SaveOptions>(room, managed, async (call) => {
    const saved = await call.source().managedSave(nameOf(call), await wishOf(call));
    call.print(`Domain '${nameOf(call)}' saved to ${sizeOf(saved)}; its next start goes on from there\n`, saved);
    return undefined;
  });

  const dump = leafOf(domain, 'dump', 'write the memory of a guest to a file of the host, for whoever looks for a fault in it')
    .argument('<domain>', 'name or uuid', domainOf)
    .argument('<file>', 'on the host; nothing may stand there')
    .option('--memory-only', 'an ELF core of the memory; without it the stream of a migration')
    .addOption(new Option('--live', 'let the guest run on meanwhile').conflicts(['crash', 'reset']))
    .addOption(new Option('--crash', 'end the guest afterwards, as crashed').conflicts('reset'))
    .option('--reset', 'reset the guest afterwards')
    .addOption(new Option('--format <format>', 'how a stream is compressed (default: raw)').choices(formats))
    .option('--bandwidth <mib>', 'MiB/s, of a stream', bandwidthOf)
    .addHelpText(
      'after',
      examples('domain dump web /var/tmp/web.core --memory-only', 'domain dump web /var/tmp/web.dump --live --format zstd'),
    );
  acts<DumpOptions>(room, dump, async (call) => {
    const { memoryOnly, live, crash, reset, format, bandwidth } = call.options;
    const done = await call.source().dump(nameOf(call), {
      path: resolve(call.args[1] ?? ''),
      ...(memoryOnly ? { kind: 'elf' as const } : {}),
      mode: live ? 'live' : crash ? 'crash' : reset ? 'reset' : 'pause',
      ...(format === undefined ? {} : { format }),
      ...(bandwidth === undefined ? {} : { bandwidthMibPerSec: bandwidth }),
    });
    call.print(`Domain '${nameOf(call)}' dumped to ${sizeOf(done)}\n`, done);
    return undefined;
  });

  const remove = leafOf(domain, 'managedsave-remove', 'remove the image that a domain has; its next start boots it')
    .argument('<domain>', 'name or uuid', domainOf)
    .addHelpText('after', examples('domain managedsave-remove web'));
  acts(room, remove, async (call) => {
    await call.source().removeManagedSave(nameOf(call));
    call.print(`The image of domain '${nameOf(call)}' has been removed\n`, { name: nameOf(call) });
    return undefined;
  });
}

function saveOptions(command: Command): Command {
  return runState(command)
    .addOption(new Option('--format <format>', 'how its memory is compressed (default: raw)').choices(formats))
    .option('--bandwidth <mib>', 'MiB/s; without it as fast as it goes', bandwidthOf)
    .option('--xml <file>', 'the definition that the image gets, with which the guest sees the same machine; - reads stdin');
}

function runState(command: Command): Command {
  return command
    .addOption(new Option('--running', 'it runs when it is restored, also when it was paused').conflicts('paused'))
    .addOption(new Option('--paused', 'it is paused when it is restored').conflicts('running'));
}

async function wishOf({ context, options }: Call<SaveOptions>): Promise<ManagedSave> {
  const { format, bandwidth, xml, running, paused } = options;
  return {
    ...(format === undefined ? {} : { format }),
    ...(bandwidth === undefined ? {} : { bandwidthMibPerSec: bandwidth }),
    ...(xml === undefined ? {} : { xml: await context.readInput(xml) }),
    ...(running ? { state: 'running' } : paused ? { state: 'paused' } : {}),
  };
}

const sizeOf = ({ path, format, bytes }: Pick<SavedImage, 'path' | 'format' | 'bytes'>): string =>
  `${path} (${format}, ${bytesText(bytes)})`;
