import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath, kill, pid } from 'node:process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@vmferry/seams';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { skippingClock } from '../spec/until.js';
import { type AppCommand, type AppName, hostCommands } from './app-command.js';
import { runHost } from './host.js';
import { type HostEvent, hostEventJson, hostEventLine } from './host-event.js';
import { readyUrl } from './ready-line.js';
import { defaultRuntimeDir, makeRuntimeDir, removeEmptyRuntimeDir } from './runtime-dir.js';

/*
 * The apps here are a few lines of JavaScript in real processes: they show what the supervision does with processes that live, die and
 * refuse. The real apps are supervised in the integration suites.
 */
const appThat = (onSigterm: string) => (app: string) =>
  `
  process.on('SIGTERM', () => { ${onSigterm} });
  setInterval(() => undefined, 60_000);
  console.log(JSON.stringify({ ready: true, app: '${app}', url: 'http://127.0.0.1:1/${app}', pid: process.pid }));
`;
const wellBehaved = appThat('process.exit(0)');
const deafToSigterm = appThat('');

type Told<T extends HostEvent['t']> = Extract<HostEvent, { t: T }>;

/** A host of scripts, the events it told, and a way to wait for one. */
function hostOf(scripts: Partial<Record<AppName, string>>) {
  const dir = mkdtempSync(join(tmpdir(), 'vmferry-host-spec-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const commands = Object.entries(scripts).map(([app, script]): AppCommand => {
    writeFileSync(join(dir, `${app}.js`), script);
    // The keys of `scripts` are app names.
    return { app: app as AppName, command: execPath, args: [join(dir, `${app}.js`)], logPath: join(dir, 'logs', `${app}.log`) };
  });
  const { clock, skip } = skippingClock();
  const told: { event: HostEvent; atMs: number }[] = [];
  const waiting = new Set<() => void>();
  const stopListeners = new Set<(signal: string) => void>();
  const tell = (event: HostEvent) => {
    told.push({ event, atMs: performance.now() });
    for (const look of [...waiting]) look();
  };
  const onStopSignal = (listener: (signal: string) => void) => {
    stopListeners.add(listener);
    return () => void stopListeners.delete(listener);
  };
  const nth = <T extends HostEvent['t']>(t: T, n: number) =>
    told.filter((entry): entry is { event: Told<T>; atMs: number } => entry.event.t === t)[n];
  const event = <T extends HostEvent['t']>(t: T, n = 0): Promise<{ event: Told<T>; atMs: number }> =>
    new Promise((resolve) => {
      const look = () => {
        const found = nth(t, n);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const signal = (name: string) => {
    for (const listener of [...stopListeners]) listener(name);
  };
  const hangUpListeners = new Set<() => void>();
  const onHangUp = (listener: (signal: string) => void) => {
    const hangUp = () => listener('SIGHUP');
    hangUpListeners.add(hangUp);
    return () => void hangUpListeners.delete(hangUp);
  };
  const hangUp = () => {
    for (const listener of [...hangUpListeners]) listener();
  };
  const done = runHost(commands, { clock, tell, onStopSignal, onHangUp });
  return { dir, told: () => told.map((entry) => entry.event), event, signal, hangUp, skip, done, stopListeners };
}

const isAlive = (pid: number): boolean => {
  try {
    kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a host', () => {
  it('passes SIGHUP on to its apps, which look at their certificates again, and goes on', async () => {
    const script = `process.on('SIGHUP', () => process.exit(7));${wellBehaved('tunnel-relay')}`;
    const host = hostOf({ 'tunnel-relay': script });
    await host.event('up');
    host.hangUp();
    await host.event('hung-up');
    expect((await host.event('died')).event).toMatchObject({ exitCode: 7 });
    await host.event('ready', 1);
    host.signal('SIGTERM');
    expect(await host.done).toBe(0);
  });

  it('starts its apps, tells when all are ready, and stops them on SIGTERM with exit code 0', async () => {
    const host = hostOf({
      'source-agent': wellBehaved('source-agent'),
      'destination-agent': wellBehaved('destination-agent'),
      'tunnel-relay': wellBehaved('tunnel-relay'),
    });
    const { event } = await host.event('up');
    expect(event.urls).toEqual({
      'source-agent': 'http://127.0.0.1:1/source-agent',
      'destination-agent': 'http://127.0.0.1:1/destination-agent',
      'tunnel-relay': 'http://127.0.0.1:1/tunnel-relay',
    });
    // The first app makes the identity of the state folder alone.
    const order = host.told().flatMap((told) => ('app' in told ? [`${told.t} ${told.app}`] : []));
    expect(order.slice(0, 2)).toEqual(['started source-agent', 'ready source-agent']);
    const pids = host.told().flatMap((told) => (told.t === 'started' ? [told.pid] : []));
    expect(pids.map(isAlive)).toEqual([true, true, true]);
    host.signal('SIGTERM');
    expect(await host.done).toBe(0);
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    expect(host.told().at(-1)).toEqual({ t: 'down', wasUp: true });
    expect(host.stopListeners.size).toBe(0);
  });

  it('says why its apps cannot be started at all, and not that a host is down', async () => {
    const told: HostEvent[] = [];
    const app = { app: 'source-agent', command: execPath, args: [], logPath: '/dev/null/logs/source-agent.log' } as const;
    const seams = {
      clock: systemClock,
      tell: (event: HostEvent) => void told.push(event),
      onStopSignal: () => () => undefined,
      onHangUp: () => () => undefined,
    };
    expect(await runHost([app], seams)).toBe(1);
    expect(told).toEqual([
      { t: 'not-started', reason: expect.stringContaining('/dev/null/logs') },
      { t: 'down', wasUp: false },
    ]);
    expect(hostEventLine({ t: 'down', wasUp: false })).not.toContain('guests');
  });

  it('restarts an app that was killed by -9 well under a second later, another life of it', async () => {
    const host = hostOf({ 'source-agent': wellBehaved('source-agent') });
    const first = await host.event('ready');
    kill(first.event.pid, 'SIGKILL');
    const died = await host.event('died');
    expect(died.event).toMatchObject({ app: 'source-agent', pid: first.event.pid, signal: 'SIGKILL', restartInMs: 100 });
    const second = await host.event('ready', 1);
    expect(second.event.pid).not.toBe(first.event.pid);
    expect(second.atMs - died.atMs).toBeLessThan(900);
    host.signal('SIGINT');
    expect(await host.done).toBe(0);
  });

  it('doubles the pause at each further death in a row', async () => {
    const host = hostOf({
      'source-agent': `${wellBehaved('source-agent')} setTimeout(() => process.kill(process.pid, 'SIGKILL'), 20);`,
    });
    await host.event('died', 3);
    host.signal('SIGTERM');
    await host.done;
    expect(
      host
        .told()
        .flatMap((told) => (told.t === 'died' ? [told.restartInMs] : []))
        .slice(0, 4),
    ).toEqual([100, 200, 400, 800]);
  });

  it('gives up on an app that ends before it was ever ready, says why, and stops the others', async () => {
    const refusal = JSON.stringify({
      level: 'error',
      message: 'cannot start',
      error: { detail: 'another agent holds the state folder' },
    });
    const host = hostOf({
      'source-agent': wellBehaved('source-agent'),
      'tunnel-relay': `console.error(${JSON.stringify(refusal)}); process.exitCode = 64;`,
    });
    expect(await host.done).toBe(1);
    const { event } = await host.event('gave-up');
    expect(event).toMatchObject({ app: 'tunnel-relay', exitCode: 64, reason: 'another agent holds the state folder' });
    const ready = await host.event('ready');
    expect(isAlive(ready.event.pid)).toBe(false);
  });

  it('restarts one that is killed before it was ever ready', async () => {
    const marker = join(mkdtempSync(join(tmpdir(), 'vmferry-host-spec-')), 'tried');
    onTestFinished(() => rmSync(join(marker, '..'), { recursive: true }));
    const killedOnce = `const fs = require('node:fs'); if (!fs.existsSync('${marker}')) { fs.writeFileSync('${marker}', ''); process.kill(process.pid, 'SIGKILL'); }`;
    const host = hostOf({ 'source-agent': `${killedOnce} ${wellBehaved('source-agent')}` });
    await host.event('up');
    expect(host.told().map((told) => told.t)).toEqual(['started', 'died', 'started', 'ready', 'up']);
    host.signal('SIGTERM');
    expect(await host.done).toBe(0);
  });

  it('does not restart one that waits for its restart when it is stopped', async () => {
    const host = hostOf({
      'source-agent': `${wellBehaved('source-agent')} setTimeout(() => process.kill(process.pid, 'SIGKILL'), 20);`,
    });
    await host.event('died');
    host.signal('SIGTERM');
    expect(await host.done).toBe(0);
    expect(host.told().filter((told) => told.t === 'started')).toHaveLength(1);
  });

  it('kills at a second signal what did not end at the first; one signal that came twice is one', async () => {
    const host = hostOf({ 'source-agent': deafToSigterm('source-agent') });
    const { event } = await host.event('ready');
    host.signal('SIGINT');
    host.signal('SIGINT');
    await host.event('stopping');
    expect(host.told()).not.toContainEqual(expect.objectContaining({ t: 'killed' }));
    host.skip(600);
    host.signal('SIGINT');
    expect(await host.done).toBe(0);
    expect(host.told()).toContainEqual(expect.objectContaining({ t: 'killed', app: 'source-agent', pid: event.pid }));
    expect(isAlive(event.pid)).toBe(false);
  });

  it('keeps what the apps write to stderr as their log, over restarts', async () => {
    const host = hostOf({ 'source-agent': `console.error('life of ' + process.pid); ${wellBehaved('source-agent')}` });
    const first = await host.event('ready');
    kill(first.event.pid, 'SIGKILL');
    const second = await host.event('ready', 1);
    host.signal('SIGTERM');
    await host.done;
    expect(readFileSync(join(host.dir, 'logs', 'source-agent.log'), 'utf8')).toBe(
      `life of ${first.event.pid}\nlife of ${second.event.pid}\n`,
    );
  });
});

describe('a host whose disk is full', () => {
  it('starts an app again whose log cannot be opened, and says where it goes', async () => {
    const host = hostOf({ 'source-agent': wellBehaved('source-agent') });
    const first = await host.event('ready');
    rmSync(join(host.dir, 'logs'), { recursive: true });
    writeFileSync(join(host.dir, 'logs'), 'no folder');
    kill(first.event.pid, 'SIGKILL');
    const second = await host.event('ready', 1);
    expect(second.event.pid).not.toBe(first.event.pid);
    const { event } = await host.event('unlogged');
    expect(event).toMatchObject({ app: 'source-agent', reason: expect.stringContaining('EEXIST') });
    expect(hostEventLine(event)).toMatch(/cannot be opened \(.*\); until its next start/);
    host.signal('SIGTERM');
    expect(await host.done).toBe(0);
  });

  it('goes on when its own output cannot be written, and stops its apps as ever', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'vmferry-host-spec-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
    const full = openSync('/dev/full', 'w');
    // Of this process's own, below the ports that the system hands out.
    const portBase = 10_000 + 4 * (pid % 5_000);
    const args = [
      main,
      'host',
      'up',
      '--state-dir',
      join(dir, 'state'),
      '--runtime-dir',
      join(dir, 'run'),
      '--port-base',
      String(portBase),
    ];
    const child = spawn(execPath, args, { stdio: ['ignore', full, full] });
    onTestFinished(() => void child.kill('SIGKILL'));
    closeSync(full);
    const ended = once(child, 'exit');
    const isUp = async (port: number) => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
    for (const n of [1, 2, 3]) await vi.waitFor(async () => expect(await isUp(portBase + n)).toBe(true), 20_000);
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    await expect(isUp(portBase + 1)).rejects.toThrow();
  });
});

describe('what is told', () => {
  it.each<[HostEvent, string]>([
    [
      { t: 'started', app: 'source-agent', pid: 7, deaths: 0, logPath: '/s/logs/source-agent.log' },
      'source-agent: started, pid 7, log /s/logs/source-agent.log',
    ],
    [
      { t: 'started', app: 'source-agent', pid: 8, deaths: 2, logPath: '' },
      'source-agent: restarted, pid 8, after 2 deaths in a row',
    ],
    [{ t: 'ready', app: 'tunnel-relay', pid: 9, url: 'http://127.0.0.1:7803' }, 'tunnel-relay: ready at http://127.0.0.1:7803'],
    [
      { t: 'died', app: 'source-agent', pid: 7, exitCode: null, signal: 'SIGKILL', restartInMs: 100 },
      'source-agent: died of SIGKILL; guests run on; restart in 100 ms',
    ],
    [
      { t: 'died', app: 'source-agent', pid: 7, exitCode: 70, signal: null, restartInMs: 200 },
      'source-agent: ended with exit code 70; guests run on; restart in 200 ms',
    ],
    [{ t: 'stopping', signal: 'SIGINT' }, 'SIGINT: stopping the apps'],
  ])('%o', (event, line) => {
    expect(hostEventLine(event)).toBe(line);
    expect(JSON.parse(hostEventJson(event, new Date(0)))).toMatchObject({ event: event.t, at: '1970-01-01T00:00:00.000Z' });
  });

  it('says at the end that the guests go on running', () =>
    expect(hostEventLine({ t: 'down', wasUp: true })).toMatch(/guests that ran go on running/));

  it.each([
    ['{"ready":true,"app":"source-agent","url":"http://127.0.0.1:7801","pid":7}', 'http://127.0.0.1:7801'],
    ['{"ready":false,"url":"http://127.0.0.1:7801"}', null],
    ['{"ready":true', null],
    ['null', null],
    [`{"ready":true,"url":"${'x'.repeat(5_000)}"}`, null],
  ])('ready line %s', (line, url) => expect(readyUrl(line)).toBe(url));
});

describe('the command lines of the apps', () => {
  const options = { stateDir: '/var/lib/vmferry', runtimeDir: '/run/v', portBase: 7_800, listen: '127.0.0.1' };
  const argsOf = (app: AppName, more = {}) =>
    hostCommands({ ...options, ...more })
      .find((command) => command.app === app)
      ?.args.slice(1)
      .join(' ');
  const common = (port: number) => `--state-dir /var/lib/vmferry --runtime-dir /run/v --listen 127.0.0.1:${port}`;

  it('give each app its port and its neighbours', () => {
    expect(argsOf('source-agent')).toBe(`${common(7_801)} --relay http://127.0.0.1:7803`);
    expect(argsOf('destination-agent')).toBe(
      `${common(7_802)} --relay http://127.0.0.1:7803 --source-agent http://127.0.0.1:7801`,
    );
    expect(argsOf('tunnel-relay')).toBe(common(7_803));
  });

  it('pass timers and drivers on to those that have them', () => {
    const more = {
      lockDriver: 'none',
      sessionTtlSeconds: 2,
      attachTimeoutSeconds: 3,
      stallTimeoutSeconds: 4,
      retryMs: 50,
      qemuUser: '1:1',
    };
    expect(argsOf('source-agent', more)).toBe(
      `${common(7_801)} --relay http://127.0.0.1:7803 --qemu-user 1:1 --lock-driver none --session-ttl-seconds 2 --retry-ms 50`,
    );
    expect(argsOf('destination-agent', more)).toContain('--attach-timeout-seconds 3 --stall-timeout-seconds 4');
    expect(argsOf('tunnel-relay', more)).toBe(`${common(7_803)} --attach-timeout-seconds 3`);
  });

  it('reach apps that listen everywhere through loopback, and bracket IPv6', () => {
    expect(argsOf('source-agent', { listen: '::' })).toContain('--listen [::]:7801 --relay http://[::1]:7803');
    expect(argsOf('source-agent', { listen: '0.0.0.0' })).toContain('--relay http://127.0.0.1:7803');
  });

  it('give one certificate to the three, and the agents the https address of the relay', () => {
    const more = { tlsCert: '/c', tlsKey: '/k', tlsCa: '/a' };
    for (const app of ['source-agent', 'destination-agent', 'tunnel-relay'] as const)
      expect(argsOf(app, more)).toContain('--tls-cert /c --tls-key /k --tls-ca /a');
    expect(argsOf('destination-agent', more)).toMatch(/--relay https:\/\/127.0.0.1:7803 .*--source-agent http:/);
  });

  it('name only options that the apps have', () => {
    const all = {
      name: 'a',
      tokenFile: '/t',
      tlsCert: '/c',
      tlsKey: '/k',
      tlsCa: '/a',
      migrateTlsDir: '/m',
      spiceTlsDir: '/s',
      displayPorts: '5900-5999',
      migrationPorts: '49152-49215',
      migrationAddress: '10.0.0.2',
      insecureMigrationPorts: true,
      logLevel: 'info',
      emulator: '/q',
      qemuUser: '1:1',
      network: ['default=bridge:br0'],
      lockDriver: 'etcd',
      sanlockFolder: '/l',
      sanlockHostId: 1,
      sanlockRunDir: '/r',
      sanlockNoWatchdog: true,
      etcd: ['https://e1:2379', 'https://e2:2379'],
      etcdPrefix: '/p/',
      etcdCert: '/c',
      etcdKey: '/k',
      etcdCa: '/a',
      securityDriver: 'none',
      auditSink: ['syslog', 'kernel'],
      sessionTtlSeconds: 2,
      retryMs: 50,
      attachTimeoutSeconds: 3,
      stallTimeoutSeconds: 4,
    } satisfies Required<Omit<Parameters<typeof hostCommands>[0], keyof typeof options>>;
    for (const { app, command, args } of hostCommands({ ...options, ...all })) {
      const [entry = '', ...flags] = args.filter((arg, index) => index === 0 || arg.startsWith('--'));
      const help = spawnSync(command, [entry, '--help'], { encoding: 'utf8' }).stdout;
      expect([app, flags.filter((flag) => !new RegExp(`${flag}\\s`).test(help))]).toEqual([app, []]);
    }
  });

  it('end with 2 when something of them is missing or wrong, and their help marks what is required', () => {
    for (const { args, command } of hostCommands(options)) {
      const [entry = ''] = args;
      for (const wrong of [[], [...args.slice(1), '--no-such-option'], [...args.slice(1), '--log-level', 'loud']]) {
        const { status, stderr } = spawnSync(command, [entry, ...wrong], { encoding: 'utf8' });
        expect([entry, status, stderr]).toEqual([entry, 2, expect.stringMatching(/^error: /)]);
      }
      const help = spawnSync(command, [entry, '--help'], { encoding: 'utf8' });
      expect([help.status, help.stdout.match(/\(required\)/g)?.length]).toEqual([0, 2]);
    }
  });

  it('start the apps of the workspace', () => {
    for (const { app, args } of hostCommands(options)) {
      expect(args[0]).toMatch(new RegExp(`/apps/${app}/dist/main\\.js$`));
      expect(existsSync(String(args[0]).replace('/dist/main.js', '/package.json'))).toBe(true);
    }
  });
});

describe('the runtime folder', () => {
  it('is short, of this state folder, and the same at each start', () => {
    const place = { isRoot: true, xdgRuntimeDir: undefined, tmpDir: '/tmp' };
    const deep = `/srv/${'deep/'.repeat(40)}state`;
    expect(defaultRuntimeDir(deep, place)).toMatch(/^\/run\/vmferry-[0-9a-f]{10}$/);
    expect(defaultRuntimeDir(deep, place)).toBe(defaultRuntimeDir(`${deep}/`, place));
    expect(defaultRuntimeDir('/other', place)).not.toBe(defaultRuntimeDir(deep, place));
    expect(defaultRuntimeDir(deep, { ...place, isRoot: false, xdgRuntimeDir: '/run/user/1000' })).toMatch(
      /^\/run\/user\/1000\/vmferry-/,
    );
    expect(defaultRuntimeDir(deep, { ...place, isRoot: false })).toMatch(/^\/tmp\/vmferry-/);
  });

  it('goes with the host when nothing lies in it, and stays with what does', () => {
    const dir = mkdtempSync(join(tmpdir(), 'vmferry-host-spec-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    mkdirSync(join(dir, 'guest'));
    removeEmptyRuntimeDir(dir);
    expect(existsSync(join(dir, 'guest'))).toBe(true);
    rmSync(join(dir, 'guest'), { recursive: true });
    removeEmptyRuntimeDir(dir);
    expect(existsSync(dir)).toBe(false);
    removeEmptyRuntimeDir(dir);
  });

  it('is refused when it is too long, a link or writable by others', () => {
    const dir = mkdtempSync(join(tmpdir(), 'vmferry-host-spec-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    makeRuntimeDir(join(dir, 'own'));
    makeRuntimeDir(join(dir, 'own'));
    const sixtyOne = join(dir, 'r'.repeat(60 - Buffer.byteLength(dir)));
    expect(() => makeRuntimeDir(sixtyOne)).toThrow(/has 61 bytes, and 60 are the most/);
    expect(existsSync(sixtyOne)).toBe(false);
    symlinkSync(join(dir, 'own'), join(dir, 'link'));
    expect(() => makeRuntimeDir(join(dir, 'link'))).toThrow(/must be a folder of this user/);
    spawnSync('chmod', ['777', join(dir, 'own')]);
    expect(() => makeRuntimeDir(join(dir, 'own'))).toThrow(/nobody else can write/);
  });
});
