import type { LookupAddress, LookupOptions, lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isRefusedAddress } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/**
 * The addresses of a name, at least one and none that leads where no other host is (threats, row 6). Rejects `invalid-argument` for such a one, else
 * what the lookup says.
 */
export function addressesOfName(
  name: string,
  lookup: typeof systemLookup,
  options: LookupOptions = {},
): Promise<readonly [LookupAddress, ...LookupAddress[]]> {
  return new Promise((resolve, reject) => {
    lookup(name, { ...options, all: true }, (error, addresses) => {
      const [first, ...others] = addresses ?? [];
      const refused = addresses?.find(({ address }) => isRefusedAddress(address));
      if (error !== null || first === undefined) reject(error ?? new Error(`${name} has no address`));
      else if (refused !== undefined) reject(refusedAddress(`${name} (${refused.address})`));
      else resolve([first, ...others]);
    });
  });
}

/** The same for a connection of Node's, so that the name is resolved once. */
export function guarded(lookup: typeof systemLookup): LookupFunction {
  return (name, options, answer) => {
    addressesOfName(name, lookup, options).then(
      ([first, ...others]) =>
        options.all === true ? answer(null, [first, ...others]) : answer(null, first.address, first.family),
      (error: NodeJS.ErrnoException) => answer(error, '', 4),
    );
  };
}

/** An address without the brackets that a URL puts around one of IPv6. */
export const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '');

export function refusedAddress(host: string): VmferryError {
  return new VmferryError('invalid-argument', `A stream is not opened to ${host}: no other host has such an address.`);
}
