import { VmferryError } from '@vmferry/errors';

/** What a command would go around, and what does the same with all that belongs to it. */
const refused: readonly { readonly names: RegExp; readonly why: string }[] = [
  {
    names: /^(x-)?migrate($|[-_])|^(x-colo|cpr)-|^client_migrate_info$|^(calc-dirty-rate|yank)$|vcpu-dirty-limit$|^snapshot-/,
    why: 'the outcome record alone decides where a guest runs; use `vmferry migrate` and `vmferry migration`',
  },
  {
    names:
      /^(cont|stop|quit|system_powerdown|system_wakeup|set-action|watchdog-set-action|dump-guest-memory|xen-.*-devices-state)$/,
    why: 'state, lease and audit would not follow; use `vmferry domain resume`, `suspend`, `shutdown` or `destroy`',
  },
  {
    names: /^(qmp_capabilities|getfd|closefd|add-fd|remove-fd|add_client)$/,
    why: "the descriptors and the negotiation of this monitor are the agent's own",
  },
];

/** A line of the human monitor that only tells something. */
const infoLine = /^info( [\x21-\x7e]+)*$/;

/** Throws `monitor-command-refused` for a command that would go around the lifecycle, the lease or the migration of a guest. */
export function refuseMonitorCommand(execute: string, args: Readonly<Record<string, unknown>>): void {
  const rule = refused.find(({ names }) => names.test(execute));
  if (rule !== undefined) throw refusal(execute, rule.why);
  if (execute !== 'human-monitor-command') return;
  const line = args['command-line'];
  if (typeof line !== 'string' || !infoLine.test(line))
    throw refusal(execute, 'of the human monitor only `info ...` is passed on');
}

/** Commands that change nothing run beside a migration, like every query (S9). */
export function onlyAsks(execute: string): boolean {
  return /^(query-|qom-(get|list)|device-list-properties$|human-monitor-command$)/.test(execute);
}

function refusal(execute: string, why: string): VmferryError {
  return new VmferryError('monitor-command-refused', `The monitor command ${execute} is not passed on: ${why}.`, {
    data: { command: execute },
  });
}
