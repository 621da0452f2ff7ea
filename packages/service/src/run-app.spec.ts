import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';

const dist = new URL('../dist/index.js', import.meta.url).href;

/** The expressions that an app's service and close are made of. */
interface Parts {
  readonly start?: string;
  readonly drain?: string;
  readonly finish?: string;
  readonly after?: string;
}

function codeOf(o: Parts): string {
  return `
    import { createLogger, runApp } from ${JSON.stringify(dist)};
    const log = createLogger({ app: 'tunnel-relay', level: 'info', hostName: 'spec' });
    const alive = setInterval(() => {}, 1000);
    await runApp(log, async () => {
      ${o.start ?? ''}
      return {
        service: { refuseWork: () => log.info('refusing'), drain: ${o.drain ?? 'async () => {}'} },
        url: 'http://here',
        finish: ${o.finish ?? 'undefined'},
        close: async () => clearInterval(alive),
      };
    });
    ${o.after ?? ''}`;
}

/** A process that runs such an app. */
function appProcess(o: Parts) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', codeOf(o)], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return {
    child,
    ready: once(createInterface(child.stdout), 'line').then(([line]) => JSON.parse(String(line)) as unknown),
    ended: once(child, 'close').then(([status]) => ({ status: status as number, errors })),
  };
}

describe('runApp', () => {
  it('says that it is ready, drains on SIGTERM and ends with 0', async () => {
    const app = appProcess({});
    expect(await app.ready).toEqual({ ready: true, url: 'http://here' });
    app.child.kill('SIGTERM');
    expect(await app.ended).toMatchObject({ status: 0, errors: expect.stringContaining('draining') });
  });

  it('a second signal does not wait for the drain', async () => {
    const app = appProcess({ drain: '() => { process.stdout.write("draining\\n"); return new Promise(() => {}); }' });
    await app.ready;
    const draining = once(app.child.stdout ?? app.child, 'data');
    app.child.kill('SIGTERM');
    await draining;
    app.child.kill('SIGINT');
    expect((await app.ended).status).toBe(1);
  });

  it('lets what runs end before it stops to listen, and refuses new work meanwhile', async () => {
    const app = appProcess({ finish: "async () => log.info('finished')", drain: "async () => log.info('closed')" });
    await app.ready;
    app.child.kill('SIGTERM');
    const { status, errors } = await app.ended;
    expect([status, errors.match(/draining|refusing|finished|closed/g)]).toEqual([
      0,
      ['draining', 'refusing', 'finished', 'closed'],
    ]);
  });

  it.each([
    ['a second signal cuts short what runs, and waits for the cut', '', ['cut', 'was cut']],
    ['a third signal does not', ' await new Promise(() => {});', ['cut']],
  ])('%s', async (_name, never, said) => {
    const finish = `async (hurry) => {
      process.stdout.write('finishing\\n');
      await new Promise((cut) => hurry.addEventListener('abort', cut));
      process.stdout.write('cut\\n');${never}
      process.stdout.write('was cut\\n');
    }`;
    const app = appProcess({ finish });
    const lines: string[] = [];
    const expected = new Set<() => void>();
    await app.ready;
    app.child.stdout?.on('data', (text: Buffer) => {
      lines.push(...text.toString().trim().split('\n'));
      for (const told of expected) told();
    });
    const line = async (wanted: string) => {
      while (!lines.includes(wanted)) await new Promise<void>((told) => expected.add(told));
    };
    app.child.kill('SIGTERM');
    await line('finishing');
    app.child.kill('SIGTERM');
    await line('cut');
    if (never !== '') app.child.kill('SIGTERM');
    expect((await app.ended).status).toBe(1);
    expect(lines.slice(1)).toEqual(said);
  });

  it.each([
    ['an error that nobody caught', 'setImmediate(() => { throw new Error("a defect"); });'],
    ['a rejection that nobody handled', 'void Promise.reject(new Error("a defect"));'],
  ])('%s is logged and ends it with 70', async (_name, after) => {
    expect(await appProcess({ after }).ended).toMatchObject({ status: 70, errors: expect.stringContaining('a defect') });
  });

  it('neither a log nor a ready line that cannot be written ends it', async () => {
    const after = "log.warn('lost'); setTimeout(() => process.send('runs on'), 100);";
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, ['--input-type=module', '-e', codeOf({ after })], {
      stdio: ['ignore', full, full, 'ipc'],
    });
    closeSync(full);
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    // The app's own code runs on for as long as it is told to, and ends as it should.
    await once(child, 'message');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('a start that is refused ends with 1', async () => {
    const app = appProcess({ start: 'throw new Error("no disk");' });
    app.ready.catch(() => undefined);
    expect(await app.ended).toMatchObject({ status: 1, errors: expect.stringContaining('no disk') });
  });
});
