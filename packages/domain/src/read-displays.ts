import { attribute, childrenOf, type XmlElement } from '@vmferry/xml';
import { readPciAddress } from './address.js';
import type { GraphicsDevice, VideoDevice } from './devices.js';
import { attributeOf, integer, invalid, matching, only, optionalInteger, supported, UnsupportedPart } from './fields.js';
import { hostAddress } from './read-characters.js';

/** Attributes that protect or widen the access to a display; a display that left them out would not be what its owner wrote. */
const refused = ['connected', 'keymap', 'sharePolicy', 'socket', 'websocket', 'powerControl'];
/** The same as elements: which channels have to be encrypted, and what a client may do besides looking and typing. */
const refusedElements = ['channel', 'clipboard', 'filetransfer'];

/** What VNC's DES key and SPICE's ticket have room for. */
const passwordCharsMax = { vnc: 8, spice: 60 } as const;

export function readGraphics(graphics: XmlElement): Omit<GraphicsDevice, 't' | 'position'> {
  const type = supported('type', attribute(graphics, 'type') ?? '', ['vnc', 'spice']);
  const found = refused.find((name) => attribute(graphics, name) !== undefined);
  if (found !== undefined) throw new UnsupportedPart(found);
  const element = refusedElements.find((name) => childrenOf(graphics, name).length > 0);
  if (element !== undefined) throw new UnsupportedPart(element);
  supported('defaultMode', attribute(graphics, 'defaultMode') ?? 'any', ['any']);
  supported('gl enable', attributeOf(graphics, 'gl', 'enable') ?? 'no', ['no']);
  const port = readPort(graphics, 'port', type === 'vnc' ? 5900 : 1);
  const tlsPort = type === 'spice' ? readPort(graphics, 'tlsPort', 1) : -1;
  const listen = readListen(graphics);
  return {
    type,
    port,
    tlsPort,
    autoport: attribute(graphics, 'autoport') === 'yes' || (port === -1 && tlsPort === -1),
    ...(listen === undefined ? {} : { listen }),
    ...readPassword(graphics, type),
  };
}

/** Messages never show what was given as the password. */
function readPassword(graphics: XmlElement, type: 'vnc' | 'spice'): Pick<GraphicsDevice, 'password' | 'passwordValidTo'> {
  const password = attribute(graphics, 'passwd');
  const validTo = attribute(graphics, 'passwdValidTo');
  if (password === undefined) {
    if (validTo !== undefined) throw invalid('<graphics passwdValidTo>', 'is given without a passwd');
    return {};
  }
  const charsMax = passwordCharsMax[type];
  if (!/^[ -~]+$/.test(password) || password.length > charsMax)
    throw invalid('<graphics passwd>', `must have 1 to ${charsMax} printable ASCII characters for ${type}`);
  return { password, ...(validTo === undefined ? {} : { passwordValidTo: readTime(validTo) }) };
}

function readTime(text: string): string {
  const [where, expected] = ['<graphics passwdValidTo>', 'a time in UTC, as YYYY-MM-DDTHH:MM:SS'];
  matching(where, text, /^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d$/, expected);
  if (Number.isNaN(Date.parse(`${text}Z`))) throw invalid(where, `must be ${expected}`);
  return text;
}

/** VNC counts its displays from port 5900. */
function readPort(graphics: XmlElement, name: 'port' | 'tlsPort', min: number): number {
  const text = attribute(graphics, name) ?? '-1';
  return text === '-1' || text === '0' ? -1 : integer(`<graphics ${name}>`, text, min, 65_535);
}

function readListen(graphics: XmlElement): string | undefined {
  const [first, second] = childrenOf(graphics, 'listen');
  if (second !== undefined) throw new UnsupportedPart('more than one <listen>');
  if (first !== undefined) supported('listen type', attribute(first, 'type') ?? 'address', ['address']);
  const inner = first === undefined ? undefined : attribute(first, 'address');
  const outer = attribute(graphics, 'listen');
  if (inner !== undefined && outer !== undefined && inner !== outer) {
    throw invalid('<graphics listen>', 'differs from the address of its <listen>');
  }
  const address = inner ?? outer;
  return address === undefined ? undefined : hostAddress('<graphics listen>', address);
}

export function readVideo(video: XmlElement): Omit<VideoDevice, 't' | 'position'> {
  const model = only(video, 'model');
  if (model === undefined) throw invalid('<video><model>', 'is missing');
  const acceleration = only(model, 'acceleration') ?? only(video, 'acceleration');
  supported('accel3d', (acceleration === undefined ? undefined : attribute(acceleration, 'accel3d')) ?? 'no', ['no']);
  const vramKib = optionalInteger('<video><model vram>', attribute(model, 'vram'), 1, 1024 ** 2);
  const type = supported('model type', attribute(model, 'type') ?? '', ['vga', 'cirrus', 'qxl', 'virtio', 'none']);
  return {
    model: type,
    ...(vramKib === undefined ? {} : { vramKib }),
    heads: optionalInteger('<video><model heads>', attribute(model, 'heads'), 1, 16) ?? 1,
    primary: attribute(model, 'primary') === 'yes',
    ...(type === 'none' ? {} : readPciAddress(video)),
  };
}
