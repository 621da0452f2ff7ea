import type { MigrationParameters, MigrationState } from '@vmferry/api';
import { type Command, InvalidArgumentError } from 'commander';
import { bandwidthOf, domainOf, downtimeOf, migrationIdOf, stateOf } from '../arguments.js';
import { examples } from '../examples.js';
import { type ExitCode, migrationExitCode } from '../exit-code.js';
import { acts, type Call, connectOption, type Room } from '../leaf.js';
import { addCheckCommand } from './check-command.js';
import { lostSight, stoppedWatching } from './drive.js';
import { listAll } from './list-all.js';
import { migrationFacts, migrationTable, timeoutsText } from './migration-text.js';
import { reporterOf } from './reporter.js';
import { addResolveCommand } from './resolve-command.js';
import { addTimeoutOptions, type TimeoutOptions, timeoutsOf } from './timeout-options.js';
import { watchToEnd } from './watch-to-end.js';

/** `vmferry migration ...`: the migrations that a source-agent knows. */
export function addMigrationCommands(program: Command, room: Room, migrate: Command): void {
  const migration = program.command('migration').description('look at migrations and steer them').summary('migrations of a host');
  addLooking(migration, room);
  addCheckCommand(migration, room, migrate);
  addSteering(migration, room);
  addResolveCommand(migration, room);
}

function leafOf(migration: Command, name: string, description: string): Command {
  return migration
    .command(name)
    .description(description)
    .addOption(connectOption('source-agent (default: VMFERRY_URL, else http://127.0.0.1:7801)'));
}

const withId = (command: Command): Command => command.argument('<id>', 'id of the migration', migrationIdOf);

function addLooking(migration: Command, room: Room): void {
  const list = leafOf(migration, 'list', 'list migrations, the finished ones too')
    .option(
      '--state <state>',
      'only those in this state: pending, running, cancelling, succeeded, failed, cancelled, needs-attention',
      stateOf,
    )
    .option('--domain <domain>', 'only those of this domain, by name or uuid', domainOf)
    .addHelpText('after', examples('migration list', 'migration list --state needs-attention --json'));
  acts<{ state?: MigrationState; domain?: string }>(room, list, async (call) => {
    const migrations = await listAll(call.source(), call.options);
    call.print(migrationTable(migrations), { migrations });
    return undefined;
  });

  const show = withId(leafOf(migration, 'show', 'show all that is known of a migration')).addHelpText(
    'after',
    examples('migration show m1'),
  );
  acts(room, show, async (call) => {
    const shown = await call.source().migration(idOf(call));
    call.print(migrationFacts(shown), shown);
    return undefined;
  });

  const watch = withId(
    leafOf(migration, 'watch', 'follow a migration to its end; exit codes as of `vmferry migrate`; Ctrl-C only stops watching'),
  );
  acts(room, watch.addHelpText('after', examples('migration watch m1', 'migration watch m1 --json')), watchOne);
}

async function watchOne(call: Call<unknown>): Promise<ExitCode> {
  const { context } = call;
  const id = idOf(call);
  const reporter = reporterOf(context, call.json);
  const detached = new AbortController();
  const release = context.onSignal(['SIGINT'], () => detached.abort());
  let isKnown = false;
  try {
    const last = await watchToEnd(call.source(), id, {
      clock: context.clock,
      signal: detached.signal,
      changed: (migration) => {
        isKnown = true;
        reporter.changed(migration);
      },
    });
    reporter.ended(last, null);
    return migrationExitCode(last, false);
  } catch (thrown) {
    if (detached.signal.aborted) return stoppedWatching(reporter, id);
    if (!isKnown) throw thrown;
    return lostSight(reporter, thrown, id);
  } finally {
    release();
  }
}

function addSteering(migration: Command, room: Room): void {
  const cancel = withId(
    leafOf(migration, 'cancel', 'ask for a cancel; a migration that has passed the point of no return goes on'),
  );
  acts(room, cancel.addHelpText('after', examples('migration cancel m1')), async (call) => {
    const asked = await call.source().cancelMigration(idOf(call));
    call.print(`Cancel of migration ${asked.id} asked for; its state is ${asked.state}\n`, asked);
    return undefined;
  });

  const set = withId(leafOf(migration, 'set', 'change the limits of a migration while it runs'))
    .option('--bandwidth <MiB/s>', 'limit of the transfer, MiB/s, 1 to 1048576', bandwidthOf)
    .option('--downtime <ms>', 'longest stop of the guest at the switch, milliseconds, 1 to 60000', downtimeOf)
    .addHelpText('after', examples('migration set m1 --downtime 300', 'migration set m1 --bandwidth 1024 --timeout 60'));
  acts<LimitOptions>(room, addTimeoutOptions(set), async (call) => {
    const changed = await call.source().setParameters(idOf(call), parametersOf(call.options));
    const { bandwidthBytesPerSec, downtimeMsMax } = changed.parameters;
    const bandwidth = bandwidthBytesPerSec === null ? 'unlimited' : `${bandwidthBytesPerSec / 1_048_576} MiB/s`;
    const timeouts = timeoutsText(changed);
    call.print(
      `Migration ${changed.id}: bandwidth ${bandwidth}, downtime limit ${downtimeMsMax} ms, timeouts ${timeouts}\n`,
      changed,
    );
    return undefined;
  });

  const force = withId(
    leafOf(
      migration,
      'force-complete',
      'stop the guest now, so that the rest of its memory is sent; it runs again wherever it ends',
    ),
  );
  acts(room, force.addHelpText('after', examples('migration force-complete m1')), async (call) => {
    const forced = await call.source().forceComplete(idOf(call), { strategy: 'pause' });
    call.print(`Migration ${forced.id}: the guest stands still, and the rest of its memory is sent\n`, forced);
    return undefined;
  });

  const forget = withId(leafOf(migration, 'forget', 'forget a finished migration; the outcome record stays'));
  acts(room, forget.addHelpText('after', examples('migration forget m1')), async (call) => {
    const id = idOf(call);
    await call.source().forgetMigration(id);
    call.print(`Migration ${id} forgotten\n`, { id });
    return undefined;
  });
}

type LimitOptions = TimeoutOptions & { readonly bandwidth?: number; readonly downtime?: number };

function parametersOf(options: LimitOptions): MigrationParameters {
  const { bandwidth, downtime } = options;
  const timeouts = timeoutsOf(options);
  if (bandwidth === undefined && downtime === undefined && timeouts === undefined) {
    throw new InvalidArgumentError('nothing to set: give --bandwidth MiB/s, --downtime MS or a timeout');
  }
  return {
    ...(bandwidth === undefined ? {} : { bandwidthMibPerSec: bandwidth }),
    ...(downtime === undefined ? {} : { downtimeMsMax: downtime }),
    ...(timeouts === undefined ? {} : { timeouts }),
  };
}

const idOf = ({ args }: Call<unknown>): string => args[0] ?? '';
