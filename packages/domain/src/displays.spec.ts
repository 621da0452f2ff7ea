import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { placeDisplay, unplaceDisplay } from './change.js';
import { withDevices } from './examples.spec-helper.js';
import { formatDomain, formatForReaders } from './format.js';
import { parseDomain } from './parse.js';
import { graphicsOf } from './questions.js';

const domainWith = (xml: string) => parseDomain(withDevices(xml));
const displayOf = (xml: string) => graphicsOf(domainWith(xml));

describe('the ports of a display', () => {
  it.each([
    ["<graphics type='vnc'/>", { port: 5901, tlsPort: -1 }],
    ["<graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0'/>", { port: 5999, tlsPort: -1 }],
    ["<graphics type='spice' autoport='yes'/>", { port: 5902, tlsPort: 5903 }],
    ["<video><model type='vga'/></video><graphics type='spice' port='5900' autoport='yes'/>", { port: 5902, tlsPort: -1 }],
  ])('that the host chooses stand in the document until they are taken out: %s', (xml, ports) => {
    const domain = domainWith(xml);
    const placed = placeDisplay(domain, ports);
    expect(graphicsOf(placed)).toMatchObject({ ...ports, autoport: true });
    expect(graphicsOf(parseDomain(formatDomain(placed)))).toEqual(graphicsOf(placed));
    const kept = unplaceDisplay(placed);
    expect(graphicsOf(kept)).toMatchObject({ port: -1, tlsPort: -1, autoport: true });
    expect(unplaceDisplay(kept)).toBe(kept);
  });

  it('that the definition names are its own', () => {
    const fixed = domainWith("<graphics type='vnc' port='5907'/>");
    expect(placeDisplay(fixed, { port: 5901, tlsPort: -1 })).toBe(fixed);
    expect(unplaceDisplay(fixed)).toEqual(fixed);
    const none = domainWith("<video><model type='vga'/></video>");
    expect(unplaceDisplay(placeDisplay(none, { port: 5901, tlsPort: -1 }))).toBe(none);
  });
});

describe('the password of a display', () => {
  it('is read with the time to which it is valid', () => {
    expect(displayOf("<graphics type='vnc' passwd='8 \"chars' passwdValidTo='2036-02-29T23:59:59'/>")).toMatchObject({
      password: '8 "chars',
      passwordValidTo: '2036-02-29T23:59:59',
    });
    expect(displayOf(`<graphics type='spice' passwd='${'s'.repeat(60)}'/>`)).toMatchObject({ password: 's'.repeat(60) });
    expect(displayOf("<graphics type='vnc'/>")).not.toHaveProperty('password');
  });

  it.each([
    ['one that VNC would cut', "type='vnc' passwd='canary-90'"],
    ['one over the ticket of SPICE', `type='spice' passwd='canary-${'9'.repeat(54)}'`],
    ['an empty one', "type='vnc' passwd=''"],
    ['one with another script', "type='vnc' passwd='canaryé'"],
    ['one with a control character', "type='spice' passwd='canary&#10;'"],
    ['a time without one', "type='vnc' passwdValidTo='2036-01-01T00:00:00'"],
    ['a time that there is not', "type='vnc' passwd='canary' passwdValidTo='2036-13-01T00:00:00'"],
    ['a time with a zone', "type='vnc' passwd='canary' passwdValidTo='2036-01-01T00:00:00Z'"],
  ])('%s is refused without being shown', (_what, attributes) => {
    let thrown: unknown;
    try {
      displayOf(`<graphics ${attributes}/>`);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'definition-invalid' });
    expect(JSON.stringify([(thrown as VmferryError).message, VmferryError.from(thrown).errors])).not.toContain('canary');
  });

  it('is kept in the document, and in none that a reader is shown', () => {
    const graphics =
      "<graphics type='vnc' port='5901' passwd='canary' passwdValidTo='2036-01-01T00:00:00'/><graphics type='rdp' passwd='canary'/>";
    const domain = domainWith(graphics);
    expect(formatDomain(domain).match(/canary/g)).toHaveLength(2);
    const shown = formatForReaders(domain);
    expect(shown).not.toMatch(/canary|passwd/);
    expect(shown).toContain("<graphics type='vnc' port='5901'/>");
    expect(parseDomain(shown).devices).toHaveLength(2);
  });
});
