/** Every device that a definition can hold. A device's `position` is its index among the element children of `<devices>`. */
export type Device =
  | DiskDevice
  | InterfaceDevice
  | SerialDevice
  | ConsoleDevice
  | GraphicsDevice
  | VideoDevice
  | InputDevice
  | ControllerDevice
  | MemballoonDevice
  | RngDevice
  | UnsupportedDevice;

interface Placed {
  readonly position: number;
}

interface OnPci extends Placed {
  /** Fixed by `assignAddresses` for every device that is one PCI function. */
  readonly address?: PciAddress;
}

export interface PciAddress {
  readonly type: 'pci';
  readonly domain: number;
  readonly bus: number;
  /** 0 to 31. */
  readonly slot: number;
  /** 0 to 7. */
  readonly function: number;
  readonly multifunction: boolean;
}

/** Where a disk sits on its controller; absent: derived from the target's name (`driveAddressOf`). */
export interface DriveAddress {
  readonly type: 'drive';
  readonly controller: number;
  readonly bus: number;
  readonly target: number;
  readonly unit: number;
}

export interface DiskDevice extends OnPci {
  readonly t: 'disk';
  readonly device: 'disk' | 'cdrom';
  readonly type: 'file' | 'block';
  /** Absolute path; absent only for an empty cdrom. */
  readonly source?: string;
  readonly format: 'raw' | 'qcow2';
  readonly cache: 'default' | 'none' | 'writethrough' | 'writeback' | 'directsync' | 'unsafe';
  /** Unique in the domain: vda, sdb, hdc. */
  readonly targetDev: string;
  readonly bus: 'virtio' | 'ide' | 'sata';
  /** Always true for a cdrom. */
  readonly readonly: boolean;
  readonly shareable: boolean;
  /** At most 20 characters (virtio-blk's limit) of letters, digits and `_.+-`, space inside. */
  readonly serial?: string;
  /** From 1; unique among disks and interfaces. */
  readonly bootOrder?: number;
  /** Only for ide and sata. */
  readonly drive?: DriveAddress;
}

export type InterfaceType = 'user' | 'network' | 'bridge' | 'direct' | 'ethernet';

/**
 * A network interface. Which host resource it is connected to is asked through `actual-network.ts` only (S2): `configuredBackend`
 * and `actualBackend` are read nowhere else.
 */
export interface InterfaceDevice extends OnPci {
  readonly t: 'interface';
  /** Lower-case, unicast; derived from the domain's uuid when the document gave none. */
  readonly mac: string;
  readonly model: 'virtio' | 'e1000' | 'e1000e' | 'rtl8139';
  readonly configuredBackend: NetworkBackend;
  /** What a `network` was resolved to when the domain started. */
  readonly actualBackend?: NetworkBackend;
  /** The name of the tap device, at most 15 characters. */
  readonly targetDev?: string;
  readonly bootOrder?: number;
}

export interface NetworkBackend {
  readonly type: InterfaceType;
  readonly network?: string;
  readonly bridge?: string;
  readonly directDev?: string;
  readonly directMode?: 'vepa' | 'bridge' | 'private' | 'passthrough';
  /** Absent and present-but-empty differ (S3). */
  readonly virtualPort?: VirtualPort;
  readonly bandwidth?: Bandwidth;
}

export interface VirtualPort {
  readonly type?: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** KiB a second, and KiB for `burst`. */
export interface Bandwidth {
  readonly inbound?: BandwidthLimit;
  readonly outbound?: BandwidthLimit;
}

export interface BandwidthLimit {
  readonly average: number;
  readonly peak?: number;
  readonly burst?: number;
}

export type CharacterBackend =
  | { readonly type: 'pty' }
  | { readonly type: 'null' }
  | { readonly type: 'file'; readonly path: string; readonly append: boolean }
  /** `bind`: QEMU listens there. `connect`: it connects when it starts. At most 107 bytes. */
  | { readonly type: 'unix'; readonly path: string; readonly mode: 'bind' | 'connect' }
  /** QEMU connects there when it starts. */
  | { readonly type: 'tcp'; readonly host: string; readonly port: number };

export interface SerialDevice extends Placed {
  readonly t: 'serial';
  readonly backend: CharacterBackend;
  /** 0 to 3, unique. */
  readonly port: number;
}

/** A console that is another name of a serial port: no device of its own, see `serialPortsOf`. */
export interface ConsoleDevice extends Placed {
  readonly t: 'console';
  readonly backend: CharacterBackend;
  readonly port: number;
}

export interface GraphicsDevice extends Placed {
  readonly t: 'graphics';
  readonly type: 'vnc' | 'spice';
  /** -1: none, or not chosen yet. */
  readonly port: number;
  /** Of spice, over TLS; -1: none, or not chosen yet. */
  readonly tlsPort: number;
  /** The host chooses the ports at each start; those that are there are of the guest that runs. */
  readonly autoport: boolean;
  /** An address; absent: see `displayListenOf`. */
  readonly listen?: string;
  /** Printable ASCII, of vnc 1 to 8 characters, of spice 1 to 60. A secret: never in a log, a message or a command line. */
  readonly password?: string;
  /** UTC, as YYYY-MM-DDTHH:MM:SS; only with a password. */
  readonly passwordValidTo?: string;
}

export interface VideoDevice extends OnPci {
  readonly t: 'video';
  readonly model: 'vga' | 'cirrus' | 'qxl' | 'virtio' | 'none';
  readonly vramKib?: number;
  readonly heads: number;
  readonly primary: boolean;
}

export interface InputDevice extends OnPci {
  readonly t: 'input';
  readonly type: 'mouse' | 'tablet' | 'keyboard';
  /** ps2 is part of the machine; usb needs a usb controller; virtio is one PCI function. */
  readonly bus: 'ps2' | 'usb' | 'virtio';
}

/**
 * A controller. Part of the machine, and so without a QEMU device of their own, are pcie-root, pci-root, ide and the first sata of
 * q35; usb `none` asks for none.
 */
export type ControllerDevice = OnPci & { readonly t: 'controller'; readonly index: number } & (
    | { readonly type: 'pci'; readonly model: 'pcie-root' | 'pci-root' }
    | { readonly type: 'pci'; readonly model: 'pcie-root-port'; readonly chassis: number; readonly port: number }
    | { readonly type: 'ide' | 'sata' }
    | { readonly type: 'usb'; readonly model: 'none' | 'qemu-xhci' }
    | { readonly type: 'virtio-serial'; readonly ports?: number; readonly vectors?: number }
  );

export interface MemballoonDevice extends OnPci {
  readonly t: 'memballoon';
  readonly model: 'virtio' | 'none';
}

export interface RngDevice extends OnPci {
  readonly t: 'rng';
  readonly model: 'virtio';
  readonly source: '/dev/urandom' | '/dev/random' | '/dev/hwrng';
}

/** A device that is kept in the document and cannot be started. */
export interface UnsupportedDevice extends Placed {
  readonly t: 'unsupported';
  /** The element's name: `hostdev`. */
  readonly element: string;
  /** What about it is unsupported, for a person: `bus='scsi'`; absent: all of it. */
  readonly what?: string;
}
