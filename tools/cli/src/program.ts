import { Command, Help, type Option } from 'commander';
import { addAuditCommands } from './audit/audit-commands.js';
import { addDomainCommands } from './domain/domain-commands.js';
import { addEventCommand } from './event/event-command.js';
import { examples } from './examples.js';
import { addHostCommands } from './host/host-commands.js';
import type { Room } from './leaf.js';
import { addLeaseCommands } from './lease/lease-commands.js';
import { addMigrateCommand } from './migration/migrate-command.js';
import { addMigrationCommands } from './migration/migration-commands.js';

const environment = `
Environment:
  VMFERRY_URL    base URL of the source-agent, when -c is not given
  VMFERRY_TOKEN  bearer token for agents that ask for one

Exit codes: 0 done, 1 failed (a guest that was to move is safe on the source), 2 usage, 3 a person must
look, 130 Ctrl-C.`;

/** An option that a command does not go without says so in its help. */
function describedOption(option: Option): string {
  const text = new Help().optionDescription(option);
  return option.mandatory ? `${text} (required)` : text;
}

/** The `vmferry` command with all its subcommands. It never ends the process: help and usage errors are thrown as CommanderError. */
export function programOf(room: Room, version: string): Command {
  const { stdout, stderr } = room.context;
  const program = new Command('vmferry')
    .description('Moves running QEMU guests between hosts.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => {
        if (!room.json) stderr.write(text);
      },
      getOutHelpWidth: () => stdout.columns,
      getErrHelpWidth: () => stderr.columns,
    })
    .configureHelp({ optionDescription: describedOption })
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', environment)
    .addHelpText(
      'after',
      examples(
        'host up --state-dir /var/lib/vmferry',
        'domain define web.xml',
        'domain start web',
        'migrate web http://192.0.2.7:7802 --live --persistent --undefinesource',
        'migration list',
      ),
    );
  addHostCommands(program, room);
  addAuditCommands(program, room);
  addDomainCommands(program, room);
  addEventCommand(program, room);
  addLeaseCommands(program, room);
  addMigrationCommands(program, room, addMigrateCommand(program, room));
  return program;
}
