import type { VmferryError } from '@vmferry/errors';
import { expect, it } from 'vitest';
import { bootSector } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';

const withSecLabel = (xml: string) => bootSector.replace('</domain>', `  ${xml}\n</domain>`);
const read = (xml: string) => parseDomain(withSecLabel(xml)).secLabels;

it('a document without one asks for nothing', () => expect(parseDomain(bootSector).secLabels).toEqual([]));

it.each([
  ["<seclabel type='dynamic' model='selinux' relabel='yes'/>", { type: 'dynamic', model: 'selinux', relabel: true }],
  ['<seclabel/>', { type: 'dynamic', relabel: true }],
  [
    '<seclabel model="selinux"><baselabel>system_u:system_r:svirt_custom_t:s0</baselabel></seclabel>',
    { type: 'dynamic', model: 'selinux', relabel: true, baseLabel: 'system_u:system_r:svirt_custom_t:s0' },
  ],
  [
    "<seclabel type='static' model='selinux'><label>system_u:system_r:svirt_t:s0:c1,c2</label></seclabel>",
    { type: 'static', model: 'selinux', relabel: false, label: 'system_u:system_r:svirt_t:s0:c1,c2' },
  ],
  [
    "<seclabel type='static' model='apparmor' relabel='yes'><label>our-profile</label></seclabel>",
    { type: 'static', model: 'apparmor', relabel: true, label: 'our-profile' },
  ],
  ["<seclabel type='none'/>", { type: 'none', relabel: false }],
  [
    "<seclabel model='selinux'><label>u:r:svirt_t:s0:c1,c2</label><imagelabel>u:object_r:svirt_image_t:s0:c1,c2</imagelabel></seclabel>",
    { type: 'dynamic', model: 'selinux', relabel: true },
  ],
])('reads %s, and gives the document back', (xml, wanted) => {
  expect(read(xml)).toEqual([wanted]);
  const formatted = formatDomain(parseDomain(withSecLabel(xml)));
  expect(parseDomain(formatted).secLabels).toEqual([wanted]);
  expect(formatDomain(parseDomain(formatted))).toBe(formatted);
});

it('reads one for each model', () => {
  expect(read("<seclabel model='selinux'/><seclabel type='none' model='apparmor'/>").map(({ model }) => model)).toEqual([
    'selinux',
    'apparmor',
  ]);
});

it.each([
  "<seclabel type='sometimes'/>",
  "<seclabel type='static' model='selinux'/>",
  "<seclabel type='dynamic' relabel='no'/>",
  "<seclabel type='none' relabel='yes'/>",
  "<seclabel relabel='perhaps'/>",
  "<seclabel model='../selinux'/>",
  "<seclabel model='selinux'/><seclabel model='selinux'/>",
  "<seclabel model='selinux'/><seclabel/>",
  "<seclabel type='static'><label>a b</label></seclabel>",
  `<seclabel type='static'><label>${'a'.repeat(256)}</label></seclabel>`,
  "<seclabel type='static'><label>a</label><label>b</label></seclabel>",
  '<seclabel><baselabel>a\u00e9</baselabel></seclabel>',
  '<seclabel><imagelabel>a\nb</imagelabel></seclabel>',
])('refuses %s', (xml) => {
  expect(() => read(xml)).toThrow(expect.objectContaining({ code: 'definition-invalid' }) as VmferryError);
});
