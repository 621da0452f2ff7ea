import type { VmferryError } from '@vmferry/errors';
import type { Owner } from '@vmferry/posix';

/** What a guest's QEMU has to reach on this host; absolute paths. */
export interface LabelledDomain {
  readonly uuid: string;
  readonly name: string;
  /** Disks that it writes: these get a label. */
  readonly writable: readonly string[];
  /** Read-only disks, the kernel, the initrd, the BIOS: these are others' too and keep their labels. */
  readonly readable: readonly string[];
  /** Files and sockets of serial ports, which it makes. */
  readonly created: readonly string[];
  /** Sockets of serial ports, which it connects to. */
  readonly connected: readonly string[];
}

/**
 * Sees to it that QEMU reaches the files of its guest and no others (libvirt-protocol, A8). Every method throws `label-failed`,
 * naming the path and what to do, and then has changed nothing.
 */
export interface SecurityDriver {
  readonly name: string;
  /** The user that QEMU runs as; null when the driver leaves that alone. */
  readonly user: Owner | null;
  /** All that `labelAll` would meet in its way, found without changing anything. */
  faults(domain: LabelledDomain): Promise<readonly VmferryError[]>;
  /**
   * Before QEMU starts: looks whether it can reach everything, then labels what it writes. Idempotent. Resolves with the files that were not this
   * guest's before: a start that fails gives back these and no others, for the rest may be in use by a QEMU of this guest elsewhere.
   */
  labelAll(domain: LabelledDomain): Promise<readonly string[]>;
  /**
   * After QEMU has ended: each file as it was before, once. With `migrated` the guest runs on on another host, on the same disks:
   * they keep their labels, and what they were is remembered for the day when the guest has come back and ends here.
   */
  restoreAll(domain: LabelledDomain, how: { readonly migrated: boolean }): Promise<void>;
  /** One more file for QEMU to write, such as a saved state. */
  labelPath(domain: LabelledDomain, path: string): Promise<void>;
  restorePath(domain: LabelledDomain, path: string): Promise<void>;
  /** S15: labels, with the label of the guest's images, the open image that is handed to QEMU as a descriptor. */
  labelImageFd(domain: LabelledDomain, fd: number): Promise<void>;
}
