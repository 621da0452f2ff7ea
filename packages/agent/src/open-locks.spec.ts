import { systemClock } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { type AgentOptions, agentCommand } from './index.js';
import { openLocks } from './open-locks.js';

function open(...args: readonly string[]) {
  const options: AgentOptions = agentCommand('spec-agent', 'for a spec')
    .parse(['--state-dir', '/s', '--runtime-dir', '/r', ...args], { from: 'user' })
    .opts();
  const state = { identity: { hostUuid: 'h', hostName: 'h' }, folders: {} };
  return openLocks(options, state as unknown as Parameters<typeof openLocks>[1], systemClock);
}

const etcd = ['--lock-driver', 'etcd'];

it('opens the driver that is named', async () => {
  expect((await open('--lock-driver', 'none')).name).toBe('none');
  const locks = await open(...etcd, '--etcd', 'http://127.0.0.1:2379,http://[::1]:2379');
  expect([locks.name, locks.usesState, locks.canTransferAtomically]).toEqual(['etcd', true, true]);
});

it.each([
  ['no member', etcd, /1 to 16 URLs/],
  ['17 members', [...etcd, '--etcd', Array.from({ length: 17 }, () => 'http://127.0.0.1:1').join()], /1 to 16 URLs/],
  ['members and another driver', ['--etcd', 'http://127.0.0.1:2379'], /not etcd/],
  ['no URL', [...etcd, '--etcd', '127.0.0.1:2379'], /no URL of an etcd/],
  ['a URL with a path', [...etcd, '--etcd', 'http://127.0.0.1:2379/v3'], /no URL of an etcd/],
  ['a URL with a user', [...etcd, '--etcd', 'http://a:b@127.0.0.1:2379'], /no URL of an etcd/],
  ['another scheme', [...etcd, '--etcd', 'unix://127.0.0.1:2379'], /no URL of an etcd/],
  ['threat 19: plain text to another host', [...etcd, '--etcd', 'http://10.0.0.1:2379'], /plain text/],
  ['https without certificates', [...etcd, '--etcd', 'https://e:2379'], /takes --etcd-cert/],
  ['a certificate without its key', [...etcd, '--etcd', 'https://e:2379', '--etcd-cert', '/c'], /all three/],
  ['threat 19: plain text to a name that begins like loopback', [...etcd, '--etcd', 'http://127.example.org:2379'], /plain text/],
  ['sanlock without a folder', ['--lock-driver', 'sanlock', '--sanlock-host-id', '1'], /--sanlock-folder/],
  ['sanlock without a host id', ['--lock-driver', 'sanlock', '--sanlock-folder', '/f'], /--sanlock-host-id/],
  ['a sanlock folder and another driver', ['--sanlock-folder', '/f'], /not sanlock/],
  ['to go without a watchdog with another driver', [...etcd, '--sanlock-no-watchdog'], /not sanlock/],
  ['an empty prefix', [...etcd, '--etcd', 'http://127.0.0.1:2379', '--etcd-prefix', ''], /--etcd-prefix/],
  ['a prefix with a line', [...etcd, '--etcd', 'http://127.0.0.1:2379', '--etcd-prefix', 'a\nb'], /--etcd-prefix/],
])('refuses %s', async (_, args, why) => {
  await expect(open(...args)).rejects.toMatchObject({ code: 'invalid-argument', message: expect.stringMatching(why) as unknown });
});
