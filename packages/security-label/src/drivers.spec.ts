import { parseDomain } from '@vmferry/domain';
import { describe, expect, it } from 'vitest';
import { parseRememberedOwners } from './dac.js';
import { labelledDomain } from './labelled-domain.js';
import { noLabels } from './none.js';
import { guest, recordingDriver } from './spec-helper.js';
import { stackLabels } from './stack.js';

const domain = guest('a');

describe('the stack', () => {
  it('labels in order and restores in the other', async () => {
    const calls: string[] = [];
    const stack = stackLabels(recordingDriver('one', calls), recordingDriver('two', calls, { user: { uid: 1, gid: 2 } }));
    expect({ name: stack.name, user: stack.user }).toEqual({ name: 'one,two', user: { uid: 1, gid: 2 } });
    expect(stack.models).toEqual([
      { model: 'one', doi: '0' },
      { model: 'two', doi: '0' },
    ]);
    expect(await stack.labelAll(domain)).toEqual(['/of-one', '/of-two']);
    await stack.labelOwn(domain, { folder: '/f', log: '/l' });
    await stack.labelPath(domain, '/p');
    await stack.labelImageFd(domain, 5);
    await stack.labelStreamFd(domain, 6);
    await stack.reserve(domain, 7);
    expect((await stack.socketMaker(domain, 'guest'))(() => calls.push('made'))).toBeGreaterThan(0);
    await stack.restorePath(domain, '/p');
    await stack.restoreAll(domain, { migrated: true });
    await stack.release(domain);
    const inOrder = ['labelAll', 'labelOwn', 'labelPath /p', 'labelImageFd 5', 'labelStreamFd 6', 'reserve 7'];
    const reversed = ['restorePath /p', 'restoreAll migrated', 'release'];
    expect(calls).toEqual([
      ...inOrder.flatMap((what) => [`one ${what}`, `two ${what}`]),
      ...['one socket of guest', 'two socket of guest', 'made', 'two no socket', 'one no socket'],
      ...reversed.flatMap((what) => [`two ${what}`, `one ${what}`]),
    ]);
    expect((await stack.execLabels(domain)).map(({ text }) => text)).toEqual(['one', 'two']);
    expect((await stack.labelsOf(domain)).map(({ model }) => model)).toEqual(['one', 'two']);
  });

  it('undoes the first when the second fails, and tells why', async () => {
    const calls: string[] = [];
    const stack = stackLabels(
      recordingDriver('one', calls, { failing: ['release'] }),
      recordingDriver('two', calls, { failing: ['labelAll', 'labelPath /p'] }),
    );
    await expect(stack.labelAll(domain)).rejects.toThrow('two labelAll');
    await expect(stack.labelPath(domain, '/p')).rejects.toThrow('two labelPath /p');
    expect(calls).toEqual([
      'one labelAll',
      'two labelAll',
      'one restorePath /of-one',
      'one release',
      'one labelPath /p',
      'two labelPath /p',
      'one restorePath /p',
    ]);
  });

  it('restores with both, also when one fails', async () => {
    const calls: string[] = [];
    const stack = stackLabels(recordingDriver('one', calls), recordingDriver('two', calls, { failing: ['restoreAll'] }));
    await expect(stack.restoreAll(domain, { migrated: false })).rejects.toThrow('two restoreAll');
    expect(calls).toEqual(['two restoreAll', 'one restoreAll']);
  });
});

it("none touches nothing and lets the agent's user run QEMU", async () => {
  const nowhere = { ...domain, writable: ['/does/not/exist'] };
  await noLabels.labelAll(nowhere);
  await noLabels.labelPath(nowhere, '/nor/this');
  await noLabels.labelOwn(nowhere, { folder: '/nor/this', log: '/nor/that' });
  await noLabels.labelImageFd(nowhere, -1);
  await noLabels.labelStreamFd(nowhere, -1);
  await noLabels.reserve(nowhere, -1);
  await noLabels.release(nowhere);
  expect([await noLabels.execLabels(nowhere), await noLabels.labelsOf(nowhere), noLabels.models]).toEqual([[], [], []]);
  expect((await noLabels.socketMaker(nowhere, 'agent'))(() => 'made')).toBe('made');
  await noLabels.restorePath(nowhere, '/nor/this');
  await noLabels.restoreAll(nowhere, { migrated: false });
  expect(noLabels.user).toBeNull();
});

it('S15: labelling the descriptor of an image is an operation of its own, beside the one for streams, and there is no general one', () => {
  expect(Object.keys(noLabels).filter((method) => /fd/i.test(method))).toEqual(['labelImageFd', 'labelStreamFd']);
});

it('knows what the QEMU of a definition has to reach', () => {
  const definition = parseDomain(`<domain type='qemu'><name>web</name><uuid>6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d</uuid>
    <memory unit='KiB'>65536</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel><initrd>/i</initrd></os>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/ro.img'/><target dev='vdb' bus='virtio'/><readonly/></disk>
      <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/b'/><target dev='vdc' bus='virtio'/><shareable/></disk>
      <serial type='file'><source path='/s.log'/><target port='0'/></serial>
      <serial type='unix'><source mode='connect' path='/c.sock'/><target port='1'/></serial>
      <serial type='unix'><source mode='bind' path='/b.sock'/><target port='2'/></serial>
    </devices><seclabel type='none' model='selinux'/></domain>`);
  expect(labelledDomain(definition)).toEqual({
    uuid: '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d',
    name: 'web',
    emulated: true,
    secLabels: [{ type: 'none', model: 'selinux', relabel: false }],
    writable: ['/a.img', '/dev/vg/b'],
    shared: ['/dev/vg/b'],
    readable: ['/ro.img', '/k', '/i'],
    created: ['/s.log', '/b.sock'],
    connected: ['/c.sock'],
  });
});

describe('the memory of owners', () => {
  it('reads what it wrote', () => {
    const before = { uid: 0, gid: 4294967294 };
    const owners = { files: [{ path: '/a', before }] };
    expect(parseRememberedOwners(JSON.parse(JSON.stringify(owners)))).toEqual(owners);
    expect(parseRememberedOwners({ files: [{ path: '/a', owner: before }] }), 'as 0.1.0 wrote it').toEqual(owners);
  });

  it.each([
    null,
    {},
    { files: {} },
    { files: [null] },
    { files: [{ path: 'relative', owner: { uid: 0, gid: 0 } }] },
    { files: [{ path: '/a', owner: { uid: -1, gid: 0 } }] },
    { files: [{ path: '/a', owner: { uid: 0, gid: 4294967295 } }] },
    { files: [{ path: '/a', owner: { uid: '0', gid: 0 } }] },
    { files: [{ path: '/a' }] },
    { files: Array.from({ length: 1001 }, () => ({ path: '/a', owner: { uid: 0, gid: 0 } })) },
  ])('refuses %j', (value) => {
    expect(() => parseRememberedOwners(value)).toThrow();
  });
});
