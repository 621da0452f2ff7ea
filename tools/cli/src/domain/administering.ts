import { limits, monitorCommand } from '@vmferry/api';
import { type Command, InvalidArgumentError } from 'commander';
import { domainOf, pidOf, socketPathOf } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, type Room } from '../leaf.js';
import { leafOf, nameOf, readXml } from './domain-leaf.js';

/** What asks for the permission admin: it reaches around the definition of a domain. */
export function addAdministering(domain: Command, room: Room): void {
  const attach = leafOf(domain, 'attach', 'make a QEMU of the host that something else has started a transient domain')
    .argument('<file>', 'domain XML of at most 1 MiB that says what this QEMU is; - reads stdin')
    .requiredOption('--pid <pid>', 'its process', pidOf)
    .requiredOption('--monitor <path>', 'the unix socket of its QMP monitor, which nobody else may be connected to', socketPathOf)
    .addHelpText('after', examples('domain attach old.xml --pid 4711 --monitor /run/old/qmp'));
  acts<{ pid: number; monitor: string }>(room, attach, async (call) => {
    const { pid, monitor } = call.options;
    const attached = await call.source().attachDomain({ xml: await readXml(call), pid, monitor });
    call.print(`Domain '${attached.name}' attached to process ${pid}\n`, attached);
    return undefined;
  });

  const monitor = leafOf(domain, 'qemu-monitor-command', "pass one command on to a domain's QEMU monitor; taints the domain")
    .argument('<domain>', 'name or uuid', domainOf)
    .argument('<command>', `the command as JSON of at most ${limits.monitorCommandBytesMax} bytes`)
    .addHelpText('after', examples(`domain qemu-monitor-command web '{"execute": "query-status"}'`));
  acts(room, monitor, async (call) => {
    const answer = await call.source().monitorCommand(nameOf(call), commandOf(call.args[1] ?? ''));
    call.print(`${JSON.stringify(answer, null, 2)}\n`, answer);
    return undefined;
  });
}

function commandOf(text: string) {
  try {
    const result = monitorCommand.safeParse(JSON.parse(text));
    if (result.success) return result.data;
    throw new InvalidArgumentError(`The command: ${result.error.issues[0]?.message ?? 'not valid'}.`);
  } catch (thrown) {
    if (thrown instanceof InvalidArgumentError) throw thrown;
    throw new InvalidArgumentError('The command is not JSON such as {"execute": "query-status"}.');
  }
}
