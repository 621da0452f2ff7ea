import { VmferryError } from '@vmferry/errors';

/** A definition that is valid and that this QEMU, or this host, cannot start. */
export function unsupported(what: string, advice: string): VmferryError {
  return new VmferryError('hypervisor-unsupported', `${what} cannot be started here: ${advice}.`, { data: { what } });
}
