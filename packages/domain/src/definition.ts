import type { XmlElement } from '@vmferry/xml';
import type { Device } from './devices.js';
import type { SecLabel } from './read-seclabels.js';

/** The types that vmferry accepts (S12). `kvm` runs on KVM, `qemu` on TCG; `kqemu` and `xen` are read but run nowhere. */
export const domainTypes = ['kvm', 'qemu', 'kqemu', 'xen'] as const;
export type DomainType = (typeof domainTypes)[number];

/**
 * A domain definition: a reading of its XML document. The document is the definition; every change goes through a function of
 * this package that changes the document and reads it again, and elements that are not understood stay in it. `formatDomain`
 * refuses a definition whose fields were changed in any other way.
 */
export interface DomainDefinition {
  readonly type: DomainType;
  /** 1 to 128 characters, no slash, no control character, no space first; it may hold commas and quotes. */
  readonly name: string;
  /** Canonical, lower-case. */
  readonly uuid: string;
  /** 1 KiB to 16 TiB. */
  readonly memoryKib: number;
  /** At most `memoryKib`. */
  readonly currentMemoryKib: number;
  /** `immediate`: the host gives all of the memory before the guest starts; `ondemand`: page by page, as the guest touches it. */
  readonly memoryAllocation: 'ondemand' | 'immediate';
  /** 1 to 1,024, at most `vcpusMax`. */
  readonly vcpus: number;
  readonly vcpusMax: number;
  readonly os: OsDefinition;
  readonly features: DomainFeatures;
  readonly cpu?: CpuDefinition;
  readonly onPoweroff: LifecycleAction;
  readonly onReboot: LifecycleAction;
  readonly onCrash: CrashAction;
  readonly clock: ClockDefinition;
  /** An absolute path; absent when the host may choose. */
  readonly emulator?: string;
  /** In document order, without those that only concern the host (`audio`). */
  readonly devices: readonly Device[];
  /** What is asked of the host's security driver; empty: nothing but its default. */
  readonly secLabels: readonly SecLabel[];
  /**
   * Elements outside `devices` that would change what the guest sees and that cannot be started here, each as a path for a
   * person, like `os/loader type='pflash'` or `qemu:commandline`. `checkSupported` refuses to start with any.
   */
  readonly unsupported: readonly string[];
  /** The whole document. */
  readonly xml: XmlElement;
}

export interface OsDefinition {
  readonly arch: 'x86_64' | 'i686';
  /** As written: an alias (`q35`) until `resolveMachine` has made it a versioned name (`pc-q35-7.2`). */
  readonly machine: string;
  /** Direct kernel boot; absolute paths. `initrd` and `cmdline` only with `kernel`. */
  readonly kernel?: string;
  readonly initrd?: string;
  /** At most 2,047 printable characters, what x86 kernels read. */
  readonly cmdline?: string;
  /** The path of a BIOS image (`<loader>` of type rom); absent: QEMU's own. */
  readonly loader?: string;
  /** In the order in which they are tried. */
  readonly boot: readonly BootDevice[];
}

export type BootDevice = 'hd' | 'cdrom' | 'network' | 'fd';

export interface DomainFeatures {
  readonly acpi: boolean;
  readonly apic: boolean;
  readonly pae: boolean;
  /** VMware's I/O port; absent: as the machine has it. */
  readonly vmport?: boolean;
}

export interface CpuDefinition {
  readonly mode: 'custom' | 'host-passthrough' | 'host-model';
  /** Only for `custom`; absent: the machine's default. */
  readonly model?: string;
  readonly topology?: CpuTopology;
  readonly features: readonly CpuFeature[];
}

/** The product is `vcpusMax`. */
export interface CpuTopology {
  readonly sockets: number;
  readonly dies: number;
  readonly cores: number;
  readonly threads: number;
}

export interface CpuFeature {
  readonly name: string;
  readonly policy: 'force' | 'require' | 'optional' | 'disable' | 'forbid';
}

export type LifecycleAction = 'destroy' | 'restart' | 'preserve' | 'rename-restart';
export type CrashAction = LifecycleAction | 'coredump-destroy' | 'coredump-restart';

export interface ClockDefinition {
  /** Other offsets are listed in `unsupported`, and read as utc here. */
  readonly offset: 'utc' | 'localtime';
  readonly timers: readonly TimerDefinition[];
}

export interface TimerDefinition {
  readonly name: 'platform' | 'pit' | 'rtc' | 'hpet' | 'tsc' | 'kvmclock' | 'hypervclock';
  readonly present?: boolean;
  readonly tickPolicy?: 'delay' | 'catchup' | 'merge' | 'discard';
  /** Of tsc only. */
  readonly frequencyHz?: number;
  /** Of tsc only. */
  readonly mode?: string;
}
