import { attribute, childrenOf, type XmlElement } from '@vmferry/xml';
import { readPciAddress } from './address.js';
import type { GraphicsDevice, VideoDevice } from './devices.js';
import { attributeOf, integer, invalid, only, optionalInteger, supported, UnsupportedPart } from './fields.js';
import { hostAddress } from './read-characters.js';

/** Attributes that protect or widen the access to a display; a display that left them out would not be what its owner wrote. */
const refused = ['passwd', 'passwdValidTo', 'connected', 'keymap', 'sharePolicy', 'socket', 'websocket', 'powerControl'];

export function readGraphics(graphics: XmlElement): Omit<GraphicsDevice, 't' | 'position'> {
  const type = supported('type', attribute(graphics, 'type') ?? '', ['vnc', 'spice']);
  const found = refused.find((name) => attribute(graphics, name) !== undefined);
  if (found !== undefined) throw new UnsupportedPart(found);
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
  };
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
