import { type DomainDefinition, displayListenOf, type GraphicsDevice, type VideoDevice } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { json, keyValues } from './option-text.js';
import { pciPlace } from './pci-place.js';
import { unsupported } from './unsupported.js';

/** VNC counts its displays from this port. */
const vncPortMin = 5900;

/** Ports are chosen before (autoport). A password is set through the monitor; until then nobody is let in. */
export function graphicsOptions(graphics: GraphicsDevice, spiceTlsDir: string | null): string[] {
  const { type, port, tlsPort, password } = graphics;
  if (port === -1 && tlsPort === -1)
    throw new VmferryError('internal', `No port was chosen for the ${type} display before its QEMU is started.`);
  const listen = displayListenOf(graphics);
  if (type === 'vnc') {
    const host = listen.includes(':') ? `[${listen}]` : listen;
    return ['-vnc', keyValues(`${host}:${port - vncPortMin}`, password === undefined ? {} : { password: true })];
  }
  if (tlsPort !== -1 && spiceTlsDir === null)
    throw unsupported("<graphics type='spice'> with a tlsPort", 'this host has no certificates for it');
  const options = {
    'port': port === -1 ? undefined : port,
    'tls-port': tlsPort === -1 ? undefined : tlsPort,
    'x509-dir': tlsPort === -1 ? undefined : (spiceTlsDir ?? undefined),
    'addr': listen,
    'disable-ticketing': password === undefined ? true : undefined,
    'seamless-migration': true,
  };
  return ['-spice', keyValues('', options)];
}

/** The first video device is the primary one, which the firmware uses, unless another one says that it is. */
export function videoOptions(videos: readonly VideoDevice[], definition: DomainDefinition): string[] {
  const primary = videos.find((video) => video.primary) ?? videos[0];
  return videos.flatMap((video, index) => {
    if (video.model === 'none') return [];
    const place = pciPlace('video', video.address, definition);
    return json('-device', { ...videoModel(video, video === primary), id: `video-${index}`, ...place });
  });
}

function videoModel({ model, vramKib, heads }: VideoDevice, isPrimary: boolean): Readonly<Record<string, unknown>> {
  const vramMib = vramKib === undefined ? undefined : Math.max(1, Math.ceil(vramKib / 1024));
  switch (model) {
    case 'vga':
      return { driver: isPrimary ? 'VGA' : 'secondary-vga', vgamem_mb: vramMib };
    case 'cirrus':
      return { driver: 'cirrus-vga', vgamem_mb: vramMib };
    case 'qxl':
      return { driver: isPrimary ? 'qxl-vga' : 'qxl', vram_size_mb: vramMib, max_outputs: heads };
    case 'virtio':
      return { driver: isPrimary ? 'virtio-vga' : 'virtio-gpu-pci', max_outputs: heads };
    case 'none':
      return {};
  }
}
