/** The two connections of a pump: the QEMU of this host (or what stands for it), and the relay of the other host. */
export type Side = 'local' | 'remote';

export type DirectionName = 'to-local' | 'to-remote';

/**
 * The ways to move the bytes of a stream. `splice`: inside the kernel. `streams`: by Node's event loop, where the kernel does not
 * splice these sockets. `tls`: by Node too, encrypted towards the other relay.
 */
export type PathName = 'splice' | 'streams' | 'tls';

/**
 * How a pump ended. `clean`: both directions came to their end and the last byte of each was handed to the kernel. `failed`:
 * the connection on `side` broke while bytes of `direction` were moved. `aborted`: by us. `crashed`: the worker thread itself
 * died, which is a defect or the end of memory. After anything but `clean` both connections were reset.
 */
export type PumpEnd =
  | { readonly t: 'clean' }
  | {
      readonly t: 'failed';
      readonly side: Side;
      readonly direction: DirectionName;
      readonly errno: number;
      readonly name: string;
    }
  | { readonly t: 'aborted'; readonly reason: string }
  | { readonly t: 'crashed'; readonly error: Error };

/** What the worker itself can tell; the reason of an abort stays with the thread that gave it. */
export type WorkerEnd = Extract<PumpEnd, { t: 'clean' | 'failed' }> | { readonly t: 'aborted' };
