import { expect, it } from 'vitest';
import { onlyAsks, refuseMonitorCommand } from './monitor-rules.js';

const refuses = (execute: string, args = {}) => {
  try {
    refuseMonitorCommand(execute, args);
    return false;
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'monitor-command-refused', data: { command: execute } });
    return true;
  }
};

it.each([
  ...['migrate', 'migrate_cancel', 'migrate-incoming', 'migrate-set-parameters', 'migrate-set-capabilities', 'migrate-recover'],
  ...['migrate-pause', 'migrate-continue', 'x-migrate-anything', 'migrate_set_speed', 'client_migrate_info', 'calc-dirty-rate'],
  ...['set-vcpu-dirty-limit', 'cancel-vcpu-dirty-limit', 'yank', 'snapshot-load', 'snapshot-save', 'x-colo-lost-heartbeat'],
  ...['cont', 'stop', 'quit', 'system_powerdown', 'system_wakeup', 'set-action', 'watchdog-set-action', 'dump-guest-memory'],
  ...['xen-load-devices-state', 'qmp_capabilities', 'getfd', 'closefd', 'add-fd', 'remove-fd', 'add_client'],
])('%s is refused: it would go around lifecycle, lease or migration', (execute) => {
  expect(refuses(execute)).toBe(true);
});

it.each(['query-status', 'query-migrate', 'query-dirty-rate', 'qom-get', 'qom-set', 'device_add', 'block_resize', 'inject-nmi'])(
  '%s is passed on',
  (execute) => {
    expect(refuses(execute)).toBe(false);
  },
);

it.each([
  ['info status', false],
  ['info', false],
  ['info qtree -b', false],
  ['quit', true],
  ['migrate -d exec:touch /tmp/x', true],
  ['information', true],
  [' info status', true],
  ['info status\nquit', true],
  ['info  status', true],
  ['', true],
  [undefined, true],
  [['info'], true],
])('of the human monitor %j is refused: %s', (line, refused) => {
  expect(refuses('human-monitor-command', { 'command-line': line })).toBe(refused);
});

it('S9: what only asks is a query, which runs beside a migration', () => {
  for (const execute of ['query-status', 'qom-get', 'qom-list', 'human-monitor-command']) expect(onlyAsks(execute)).toBe(true);
  for (const execute of ['qom-set', 'device_add', 'block_resize', 'x-query-status']) expect(onlyAsks(execute)).toBe(false);
});
