import type { SecLabel } from '@vmferry/domain';
import type { VmferryError } from '@vmferry/errors';
import type { Owner } from '@vmferry/posix';

/** What a guest's QEMU has to reach on this host; absolute paths. */
export interface LabelledDomain {
  readonly uuid: string;
  readonly name: string;
  /** QEMU emulates the processor, and so makes code as it runs: policies have a type of their own for that. */
  readonly emulated: boolean;
  /** The program that is going to be QEMU; absent: the host's own. */
  readonly emulator?: string;
  /** What the definition asks for (`<seclabel>`). */
  readonly secLabels: readonly SecLabel[];
  /** Disks that it writes: these get a label. */
  readonly writable: readonly string[];
  /** Those of them that several guests write (`<shareable/>`). */
  readonly shared: readonly string[];
  /** Read-only disks, the kernel, the initrd, the BIOS: these are others' too and keep their labels. */
  readonly readable: readonly string[];
  /** Files and sockets of serial ports, which it makes. */
  readonly created: readonly string[];
  /** Sockets of serial ports, which it connects to. */
  readonly connected: readonly string[];
}

/** The guest's folder and log, which the agent has made for it and which go with it: nothing of them is given back. */
export interface OwnFiles {
  readonly folder: string;
  readonly log: string;
}

/** As libvirt tells it in the capabilities of a host. */
export interface SecurityModel {
  readonly model: string;
  /** The domain of interpretation: `0` for all that there are. */
  readonly doi: string;
}

/** The label that a guest has by one model. */
export interface GuestLabel extends SecurityModel {
  readonly label: string;
  /** Of what it writes; absent where files have no label of this model. */
  readonly imageLabel?: string;
}

/** What the launcher writes last before it executes QEMU, so that QEMU is born with its label. */
export interface ExecLabel {
  /** A file of /proc/self/attr. */
  readonly attribute: string;
  readonly text: string;
}

/** Makes a socket with a label: calls `make`, which has to make it before it returns. */
export type SocketMaker = <T>(make: () => T) => T;

/** For methods that need nothing of the definition: the label was made by `labelAll`. */
export type Labelled = Pick<LabelledDomain, 'uuid'>;

/**
 * Sees to it that QEMU reaches the files of its guest and no others (libvirt-protocol, A8). Every method throws `label-failed`,
 * naming the path and what to do, and then has changed nothing.
 */
export interface SecurityDriver {
  readonly name: string;
  /** Whose labels it gives: none, one, or those of a stack. */
  readonly models: readonly SecurityModel[];
  /** The user that QEMU runs as; null when the driver leaves that alone. */
  readonly user: Owner | null;
  /** All that `labelAll` would meet in its way, found without changing anything. */
  faults(domain: LabelledDomain): Promise<readonly VmferryError[]>;
  /**
   * Before QEMU starts: looks whether it can reach everything, generates and reserves its label, then labels what it writes. Idempotent. Resolves with the files
   * that were not this guest's before: a start that fails gives back these and no others, for the rest may be in use by a QEMU of this guest elsewhere.
   */
  labelAll(domain: LabelledDomain): Promise<readonly string[]>;
  /** The same for what the agent has made for this guest alone. */
  labelOwn(domain: LabelledDomain, own: OwnFiles): Promise<void>;
  /**
   * After QEMU has ended: each file as it was before, once, and the label is free. With `migrated` the guest runs on on another host, on the same
   * disks: they keep their labels, and what they were is remembered for the day when the guest has come back and ends here.
   */
  restoreAll(domain: LabelledDomain, how: { readonly migrated: boolean }): Promise<void>;
  /** One more file for QEMU to write, such as a saved state. */
  labelPath(domain: LabelledDomain, path: string): Promise<void>;
  restorePath(domain: LabelledDomain, path: string): Promise<void>;
  /** Frees a label that no file has (any more): of a start that failed. */
  release(domain: Labelled): Promise<void>;
  /** After a restart of the agent: the label that this process of the guest has is its own, whatever was lost on disk. */
  reserve(domain: Labelled, pid: number): Promise<void>;
  /** What QEMU is executed with; empty when it gets no label. */
  execLabels(domain: Labelled): Promise<readonly ExecLabel[]>;
  /** The labels that the guest has, for those who ask. */
  labelsOf(domain: Labelled): Promise<readonly GuestLabel[]>;
  /** S15: labels, with the label of the guest's images, the open image that is handed to QEMU as a descriptor. */
  labelImageFd(domain: Labelled, fd: number): Promise<void>;
  /** S51: labels any other descriptor that QEMU gets: a migration's socket, pipe or file, the live lock. */
  labelStreamFd(domain: Labelled, fd: number): Promise<void>;
  /**
   * The label of a socket has to be there when it is made. `guest`: it is QEMU's, made here; `agent`: this agent's own, by which it talks to this QEMU.
   * What is made outside of the maker has no such label (A8: SetSocketLabel, SetDaemonSocketLabel, ClearSocketLabel).
   */
  socketMaker(domain: Labelled, whose: 'guest' | 'agent'): Promise<SocketMaker>;
}
