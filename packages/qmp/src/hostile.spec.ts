import { join } from 'node:path';
import { systemClock } from '@vmferry/seams';
import { expect, onTestFinished, test } from 'vitest';
import { QmpClient } from './client.js';
import { eventsPerSecondMax } from './event-gate.js';
import { lineBytesMax } from './line-reader.js';
import { startDeafMonitor, startHostileMonitor, temporaryFolder } from './spec-helper.js';

async function connectTo(act: Parameters<typeof startHostileMonitor>[1]): Promise<QmpClient> {
  const path = join(temporaryFolder(), 'm.sock');
  await startHostileMonitor(path, act);
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 5_000 });
  onTestFinished(() => qmp.close());
  return qmp;
}

test('a line over the limit ends the monitor', async () => {
  const qmp = await connectTo((socket) => socket.write(Buffer.alloc(lineBytesMax + 1, 0x20)));
  await expect(qmp.execute('query-name', {})).rejects.toMatchObject({
    code: 'monitor-failed',
    message: expect.stringContaining('bytes'),
  });
  expect(qmp.closed).toBe(true);
});

test.each([
  ['no JSON', '{"return": '],
  ['a number', '17'],
  ['an array', '[]'],
  ['null', 'null'],
  ['an unknown message', '{"hello": 1}'],
  [
    'a second greeting',
    '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}',
  ],
  ['an error without an id', '{"error": {"class": "GenericError", "desc": "x"}}'],
  ['an event in another form', '{"event": "MIGRATION", "data": {"status": 3}, "timestamp": {"seconds": 1, "microseconds": 1}}'],
  ['an event without its time', '{"event": "STOP"}'],
])('%s instead of a message ends the monitor with monitor-failed', async (_what, line) => {
  const qmp = await connectTo((socket) => socket.write(`${line}\n`));
  await expect(qmp.execute('query-name', {})).rejects.toMatchObject({ code: 'monitor-failed' });
  expect(qmp.closed).toBe(true);
});

test('an answer in another form than the schema is monitor-failed, and the monitor goes on', async () => {
  const answers = [
    '{"running": "yes", "status": "running", "singlestep": false}',
    '{"status": "running"}',
    '[]',
    '17',
    '{"running": true, "singlestep": false, "status": "later-qemu"}',
  ];
  const qmp = await connectTo((socket, id) => socket.write(`{"return": ${answers.shift()}, "id": ${id}}\n`));
  for (let bad = 0; bad < 4; bad += 1) {
    await expect(qmp.execute('query-status', {})).rejects.toMatchObject({
      code: 'monitor-failed',
      data: { command: 'query-status' },
    });
  }
  expect((await qmp.execute('query-status', {})).status).toBe('later-qemu');
});

test('members that the schema does not name are left out, __proto__ too', async () => {
  const qmp = await connectTo((socket, id) => {
    socket.write(`{"return": {"name": "vm", "__proto__": {"polluted": 1}, "constructor": 1, "newer": 2}, "id": ${id}}\n`);
  });
  const answer = await qmp.execute('query-name', {});
  expect(Object.getOwnPropertyNames(answer)).toEqual(['name']);
  expect(Object.getPrototypeOf(answer)).toBe(Object.prototype);
  expect('polluted' in {}).toBe(false);
});

test('an event or a command name of the prototype chain is no event', async () => {
  const qmp = await connectTo((socket, id) => {
    socket.write(`{"event": "__proto__", "timestamp": 1}\n{"event": "constructor"}\n{"return": {}, "id": ${id}}\n`);
  });
  expect(await qmp.execute('query-name', {})).toEqual({});
});

test('an answer that is nested deeper than any stack is refused', async () => {
  const deep = `${'{"stats": {}, "backing": '.repeat(200_000)}{}${'}'.repeat(200_000)}`;
  const qmp = await connectTo((socket, id) => socket.write(`{"return": [${deep}], "id": ${id}}\n`));
  await expect(qmp.execute('query-blockstats', {})).rejects.toMatchObject({ code: 'monitor-failed' });
});

test('an answer to nobody is dropped', async () => {
  const qmp = await connectTo((socket, id) =>
    socket.write(`{"return": {}, "id": 99999}\n{"return": {"name": "vm"}, "id": ${id}}\n`),
  );
  expect(await qmp.execute('query-name', {})).toEqual({ name: 'vm' });
});

test('an answer in single bytes is read whole', async () => {
  const qmp = await connectTo((socket, id) => {
    for (const byte of Buffer.from(`{"return": {"name": "vm"}, "id": ${id}}\n`)) socket.write(Buffer.from([byte]));
  });
  expect(await qmp.execute('query-name', {})).toEqual({ name: 'vm' });
});

test('a flood of events is read at a bounded rate, and makes the sender wait', async () => {
  const event = '{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 1}}\n';
  const flood = Buffer.from(event.repeat(eventsPerSecondMax * 3));
  let unsentBytes = 0;
  const qmp = await connectTo((socket) => {
    socket.write(flood);
    unsentBytes = socket.writableLength;
  });
  let count = 0;
  const arrivals: number[] = [];
  const all = new Promise<void>((resolve) => {
    qmp.on('STOP', ({ receivedAtMs }) => {
      arrivals.push(receivedAtMs);
      count += 1;
      if (count === eventsPerSecondMax * 3) resolve();
    });
  });
  qmp.execute('query-name', {}).catch(() => undefined);
  await all;
  expect(unsentBytes).toBeGreaterThan(0);
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  expect(last - first).toBeGreaterThanOrEqual(2_000);
}, 20_000);

test('a monitor that greets and does not hear the first command is called again', async () => {
  const path = join(temporaryFolder(), 'm.sock');
  const { called } = await startDeafMonitor(path, 1);
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 20_000 });
  onTestFinished(() => qmp.close());
  expect(called()).toBe(2);
});

test('one that never hears is given up when the time is over', async () => {
  const path = join(temporaryFolder(), 'm.sock');
  const { called } = await startDeafMonitor(path, Number.POSITIVE_INFINITY);
  const connecting = QmpClient.connect({ path, clock: systemClock, deadlineMs: 1_700 });
  await expect(connecting).rejects.toMatchObject({ code: 'monitor-timeout', data: { command: 'qmp_capabilities' } });
  expect(called()).toBe(2);
});
