import { flagsInHex } from './flags.js';

/** What every step of protocol v3 is called with, whatever else it takes. */
interface StepBody {
  readonly flags?: readonly string[] | undefined;
  readonly cookie?: string | null | undefined;
  readonly xml?: string | undefined;
}

/**
 * All arguments of a step, for the one log line at its entry (S28), before anything of it is refused. The flags are in hex (S7), and a
 * cookie and an XML are told by their length: the cookie of Prepare holds the ticket, that of Perform the permit.
 */
export function stepArguments({ flags = [], cookie, xml, ...others }: StepBody): Readonly<Record<string, unknown>> {
  return {
    ...others,
    flags: flagsInHex(flags),
    ...(cookie == null ? {} : { cookieBytes: Buffer.byteLength(cookie, 'base64') }),
    ...(xml === undefined ? {} : { xmlBytes: Buffer.byteLength(xml) }),
  };
}
