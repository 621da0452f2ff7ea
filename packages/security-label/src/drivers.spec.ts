import { parseDomain } from '@vmferry/domain';
import { describe, expect, it } from 'vitest';
import { labelledDomain } from './labelled-domain.js';
import { noLabels } from './none.js';
import { parseRememberedOwners } from './owner-memory.js';
import type { LabelledDomain, SecurityDriver } from './security-driver.js';
import { stackLabels } from './stack.js';

const domain: LabelledDomain = { uuid: 'a', name: 'a', writable: [], readable: [], created: [], connected: [] };

function recording(
  name: string,
  calls: string[],
  failing: readonly string[] = [],
  user: SecurityDriver['user'] = null,
): SecurityDriver {
  const call = (what: string) => {
    calls.push(`${name} ${what}`);
    return failing.includes(what) ? Promise.reject(new Error(`${name} ${what}`)) : Promise.resolve();
  };
  return {
    name,
    user,
    faults: () => Promise.resolve([]),
    labelAll: () => call('labelAll').then(() => [`/of-${name}`]),
    restoreAll: (_, { migrated }) => call(migrated ? 'restoreAll migrated' : 'restoreAll'),
    labelPath: (_, path) => call(`labelPath ${path}`),
    restorePath: (_, path) => call(`restorePath ${path}`),
    labelImageFd: (_, fd) => call(`labelImageFd ${fd}`),
  };
}

describe('the stack', () => {
  it('labels in order and restores in the other', async () => {
    const calls: string[] = [];
    const stack = stackLabels(recording('one', calls), recording('two', calls, [], { uid: 1, gid: 2 }));
    expect({ name: stack.name, user: stack.user }).toEqual({ name: 'one+two', user: { uid: 1, gid: 2 } });
    expect(await stack.labelAll(domain)).toEqual(['/of-one', '/of-two']);
    await stack.labelPath(domain, '/p');
    await stack.labelImageFd(domain, 5);
    await stack.restorePath(domain, '/p');
    await stack.restoreAll(domain, { migrated: true });
    const labelled = [
      'one labelAll',
      'two labelAll',
      'one labelPath /p',
      'two labelPath /p',
      'one labelImageFd 5',
      'two labelImageFd 5',
    ];
    expect(calls).toEqual([
      ...labelled,
      'two restorePath /p',
      'one restorePath /p',
      'two restoreAll migrated',
      'one restoreAll migrated',
    ]);
  });

  it('undoes the first when the second fails, and tells why', async () => {
    const calls: string[] = [];
    const stack = stackLabels(
      recording('one', calls, ['restorePath /of-one']),
      recording('two', calls, ['labelAll', 'labelPath /p']),
    );
    await expect(stack.labelAll(domain)).rejects.toThrow('two labelAll');
    await expect(stack.labelPath(domain, '/p')).rejects.toThrow('two labelPath /p');
    expect(calls).toEqual([
      'one labelAll',
      'two labelAll',
      'one restorePath /of-one',
      'one labelPath /p',
      'two labelPath /p',
      'one restorePath /p',
    ]);
  });

  it('restores with both, also when one fails', async () => {
    const calls: string[] = [];
    const stack = stackLabels(recording('one', calls), recording('two', calls, ['restoreAll']));
    await expect(stack.restoreAll(domain, { migrated: false })).rejects.toThrow('two restoreAll');
    expect(calls).toEqual(['two restoreAll', 'one restoreAll']);
  });
});

it("none touches nothing and lets the agent's user run QEMU", async () => {
  const nowhere = { ...domain, writable: ['/does/not/exist'] };
  await noLabels.labelAll(nowhere);
  await noLabels.labelPath(nowhere, '/nor/this');
  await noLabels.labelImageFd(nowhere, -1);
  await noLabels.restorePath(nowhere, '/nor/this');
  await noLabels.restoreAll(nowhere, { migrated: false });
  expect(noLabels.user).toBeNull();
});

it('S15: labelling the descriptor of an image is an operation of its own, and the only one that takes a descriptor', () => {
  expect(Object.keys(noLabels).filter((method) => /fd/i.test(method))).toEqual(['labelImageFd']);
});

it('knows what the QEMU of a definition has to reach', () => {
  const definition = parseDomain(`<domain type='qemu'><name>web</name><uuid>6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d</uuid>
    <memory unit='KiB'>65536</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel><initrd>/i</initrd></os>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/ro.img'/><target dev='vdb' bus='virtio'/><readonly/></disk>
      <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/b'/><target dev='vdc' bus='virtio'/></disk>
      <serial type='file'><source path='/s.log'/><target port='0'/></serial>
      <serial type='unix'><source mode='connect' path='/c.sock'/><target port='1'/></serial>
      <serial type='unix'><source mode='bind' path='/b.sock'/><target port='2'/></serial>
    </devices></domain>`);
  expect(labelledDomain(definition)).toEqual({
    uuid: '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d',
    name: 'web',
    writable: ['/a.img', '/dev/vg/b'],
    readable: ['/ro.img', '/k', '/i'],
    created: ['/s.log', '/b.sock'],
    connected: ['/c.sock'],
  });
});

describe('the memory of owners', () => {
  it('reads what it wrote', () => {
    const owners = { files: [{ path: '/a', owner: { uid: 0, gid: 4294967294 } }] };
    expect(parseRememberedOwners(JSON.parse(JSON.stringify(owners)))).toEqual(owners);
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
