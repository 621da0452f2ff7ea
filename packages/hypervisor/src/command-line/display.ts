import type { DomainDefinition, GraphicsDevice, VideoDevice } from '@vmferry/domain';
import { json, keyValues } from './option-text.js';
import { pciPlace } from './pci-place.js';
import { unsupported } from './unsupported.js';

const loopback = '127.0.0.1';
const vncPortMin = 5900;
/** How many displays above 5900 a VNC display of no fixed port tries. */
const vncDisplaysTried = 1000;

export function graphicsOptions(graphics: GraphicsDevice): string[] {
  const listen = graphics.listen ?? loopback;
  switch (graphics.type) {
    case 'vnc': {
      const host = listen.includes(':') ? `[${listen}]` : listen;
      if (graphics.autoport || graphics.port === -1) return ['-vnc', keyValues(`${host}:0`, { to: vncDisplaysTried })];
      return ['-vnc', `${host}:${graphics.port - vncPortMin}`];
    }
    case 'spice':
      if (graphics.port === -1)
        throw unsupported("<graphics type='spice'> without a port", 'SPICE finds no free port by itself; give one');
      if (graphics.tlsPort !== -1)
        throw unsupported("<graphics type='spice'> with a tlsPort", 'certificates for it are not configured here');
      return [
        '-spice',
        keyValues('', { port: graphics.port, addr: listen, 'disable-ticketing': true, 'seamless-migration': true }),
      ];
  }
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
