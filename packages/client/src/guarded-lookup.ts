import type { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isRefusedAddress } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/** Resolves a name once, and to nothing that leads where no other host is (threats, row 6). */
export function guarded(lookup: typeof systemLookup): LookupFunction {
  return (hostname, options, answer) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const refused = addresses?.find(({ address }) => isRefusedAddress(address));
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) answer(error ?? new Error(`${hostname} has no address`), '', 4);
      else if (refused !== undefined) answer(refusedAddress(`${hostname} (${refused.address})`), '', 4);
      else if (options.all === true) answer(null, addresses);
      else answer(null, first.address, first.family);
    });
  };
}

export function refusedAddress(host: string): VmferryError {
  return new VmferryError('invalid-argument', `A stream is not opened to ${host}: no other host has such an address.`);
}
