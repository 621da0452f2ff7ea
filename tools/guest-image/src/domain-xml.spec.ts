import { describe, expect, it } from 'vitest';
import { domainXmlOf } from './domain-xml.js';

const uuid = '11111111-2222-3333-4444-555555555555';

describe('domainXmlOf', () => {
  it('defines the boot-sector guest with 4 MiB and one disk', () => {
    const xml = domainXmlOf({ name: 'small', uuid, diskPath: '/d/a&b', readonly: true, serial: { type: 'file', path: '/s' } });
    expect(xml).toContain("<memory unit='KiB'>4096</memory>");
    expect(xml).toContain("<source file='/d/a&amp;b'/><target dev='vda' bus='virtio'/><readonly/>");
    expect(xml).toContain("<serial type='file'><source path='/s'/>");
    expect(xml).not.toContain('memoryBacking');
  });

  it('defines the Linux guest from what linuxGuest returns, with no disk', () => {
    const paths = { kernelPath: '/k', initrdPath: '/i', cmdline: "a='b'" };
    const serial = { type: 'unix-connect', path: '/s' } as const;
    const xml = domainXmlOf({ ...paths, name: 'linux', uuid, type: 'kvm', memoryAllocation: 'immediate', serial });
    expect(xml).toContain("<domain type='kvm'>");
    expect(xml).toContain('<kernel>/k</kernel><initrd>/i</initrd><cmdline>a=&apos;b&apos;</cmdline>');
    expect(xml).toContain("<serial type='unix'><source mode='connect' path='/s'/>");
    expect(xml).toContain("<memoryBacking><allocation mode='immediate'/></memoryBacking>");
    expect(xml).not.toContain('<disk');
  });
});
