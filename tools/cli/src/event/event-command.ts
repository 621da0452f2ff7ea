import type { LifecycleEventDocument } from '@vmferry/api';
import { type Command, Option } from 'commander';
import { domainOf, eventIdOf } from '../arguments.js';
import { examples } from '../examples.js';
import { exitCodes } from '../exit-code.js';
import { acts, connectOption, type Room } from '../leaf.js';
import { printable } from '../output/printable.js';

/** `vmferry event`: what `virsh event --loop --event lifecycle` is to libvirt. */
export function addEventCommand(program: Command, room: Room): void {
  const event = program
    .command('event')
    .description('tell the lifecycle events of domains as they happen, until Ctrl-C')
    .summary('lifecycle events as they happen')
    .addOption(
      connectOption(
        'agent; a guest that comes in is told of by the destination-agent (default: VMFERRY_URL, else http://127.0.0.1:7801)',
      ),
    )
    .addOption(new Option('--domain <domain>', 'only those of this domain, by name or uuid').argParser(domainOf))
    .addOption(
      new Option('--after <id>', 'begin behind this event, as far as it is kept; 0 for all that is').argParser(eventIdOf),
    )
    .addHelpText('after', examples('event', 'event --domain web --after 0 --json'));
  acts<{ domain?: string; after?: number }>(room, event, async (call) => {
    const { context, options } = call;
    const interrupted = new AbortController();
    const release = context.onSignal(['SIGINT'], () => interrupted.abort());
    try {
      const events = call
        .source()
        .events({ domain: options.domain, afterId: options.after, clock: context.clock, signal: interrupted.signal });
      for await (const told of events) call.print(eventLine(told), told);
    } catch (thrown) {
      if (!interrupted.signal.aborted) throw thrown;
    } finally {
      release();
    }
    return exitCodes.interrupted;
  });
}

function eventLine({ id, at, domain, event, detail }: LifecycleEventDocument): string {
  return `${at}  ${id}  ${printable(domain.name)}  ${event} ${printable(detail)}\n`;
}
