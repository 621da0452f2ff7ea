interface AnyGuest {
  readonly name: string;
  readonly uuid: string;
  /** `qemu` is TCG. Default `qemu`: KVM may exist on a machine and still not run a guest. */
  readonly type?: 'qemu' | 'kvm';
  /** `file`: written anew by each QEMU. `unix-connect`: QEMU connects there when it starts (`listenForTicks`). */
  readonly serial: { readonly type: 'file' | 'unix-connect'; readonly path: string };
  /** An `<interface>`, as it is written in a definition. */
  readonly interfaceXml?: string;
  /** `immediate`: QEMU has every page of the memory before it greets. Default `ondemand`. */
  readonly memoryAllocation?: 'ondemand' | 'immediate';
}

export interface BootSectorDomain extends AnyGuest {
  /** Default 4,096. */
  readonly memoryKib?: number;
  readonly diskPath: string;
  /** Default false. */
  readonly readonly?: boolean;
}

export interface LinuxDomain extends AnyGuest {
  /** Default 81,920: a Linux guest does not boot with 65,536. `vmferry.fill` comes on top. */
  readonly memoryKib?: number;
  readonly kernelPath: string;
  readonly initrdPath: string;
  readonly cmdline: string;
  /** A disk that it does not use. */
  readonly diskPath?: string;
  readonly readonly?: boolean;
}

/** The definition of a domain that runs one of our guests, with no device that it does not use. */
export function domainXmlOf(o: BootSectorDomain | LinuxDomain): string {
  const linux = 'kernelPath' in o;
  const memoryKib = o.memoryKib ?? (linux ? 81_920 : 4096);
  const os = linux
    ? `<kernel>${escapeXml(o.kernelPath)}</kernel><initrd>${escapeXml(o.initrdPath)}</initrd><cmdline>${escapeXml(o.cmdline)}</cmdline>`
    : "<boot dev='hd'/>";
  return [
    `<domain type='${o.type ?? 'qemu'}'>`,
    `  <name>${escapeXml(o.name)}</name>`,
    `  <uuid>${escapeXml(o.uuid)}</uuid>`,
    `  <memory unit='KiB'>${memoryKib}</memory>`,
    ...(o.memoryAllocation === 'immediate' ? ["  <memoryBacking><allocation mode='immediate'/></memoryBacking>"] : []),
    '  <vcpu>1</vcpu>',
    `  <os><type arch='x86_64' machine='q35'>hvm</type>${os}</os>`,
    '  <features><acpi/></features>',
    '  <devices>',
    ...(o.diskPath === undefined ? [] : [`    ${diskXml(o.diskPath, o.readonly === true)}`]),
    ...(o.interfaceXml === undefined ? [] : [`    ${o.interfaceXml}`]),
    `    ${serialXml(o.serial)}`,
    "    <memballoon model='none'/>",
    '  </devices>',
    '</domain>',
    '',
  ].join('\n');
}

function diskXml(path: string, readonly: boolean): string {
  const source = `<source file='${escapeXml(path)}'/>`;
  const flag = readonly ? '<readonly/>' : '';
  return `<disk type='file' device='disk'><driver name='qemu' type='raw'/>${source}<target dev='vda' bus='virtio'/>${flag}</disk>`;
}

function serialXml(serial: AnyGuest['serial']): string {
  const source =
    serial.type === 'file'
      ? `<source path='${escapeXml(serial.path)}'/>`
      : `<source mode='connect' path='${escapeXml(serial.path)}'/>`;
  return `<serial type='${serial.type === 'file' ? 'file' : 'unix'}'>${source}<target port='0'/></serial>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll("'", '&apos;');
}
