import {
  attachDomain,
  breakLeaseRequest,
  domainName,
  domainRef,
  ipAddress,
  leaseParams,
  limits,
  migrationId,
  migrationState,
  migrationUri,
  agentUrl as urlOfAgent,
  type z,
} from '@vmferry/api';
import { InvalidArgumentError } from 'commander';

/** Parses an argument by the schema that the agent will check it with, so that a mistake is a usage error before anything is sent. */
function checked<T>(schema: z.ZodType<T>): (text: string) => T {
  return (text) => {
    const result = schema.safeParse(text);
    if (result.success) return result.data;
    throw new InvalidArgumentError(`${result.error.issues[0]?.message ?? 'not valid'}.`);
  };
}

/** A whole number in its bounds; `unit` is what it counts. */
export function wholeNumber(min: number, max: number, unit: string): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number of ${unit}, ${min} to ${max}.`);
  };
}

/** A base URL without a trailing slash; `port` is the one that the app in question has by default. */
const urlOf =
  (port: number) =>
  (text: string): string => {
    if (!/^https?:\/\//.test(text)) throw new InvalidArgumentError(`Give a URL such as http://192.0.2.7:${port}.`);
    return checked(urlOfAgent)(text).replace(/\/+$/, '');
  };
export const sourceUrl = urlOf(7_801);
export const destinationUrl = urlOf(7_802);

export const migrationIdOf = checked(migrationId);
export const migrationUriOf = checked(migrationUri);
export const addressOf = checked(ipAddress);
export const domainOf = checked(domainRef);
export const domainNameOf = checked(domainName);
export const stateOf = (text: string) => checked(migrationState)(text.toUpperCase().replaceAll('-', '_'));
export const pidOf = wholeNumber(1, limits.pidMax, 'a process id');
export const uuidOf = checked(leaseParams.shape.uuid);
export const epochOf = checked(breakLeaseRequest.shape.epoch);
export const socketPathOf = checked(attachDomain.shape.monitor);
export const bandwidthOf = wholeNumber(1, limits.bandwidthMibPerSecMax, 'MiB/s');
export const downtimeOf = wholeNumber(1, limits.downtimeMsMax, 'milliseconds');
export const parallelConnectionsOf = wholeNumber(1, limits.parallelConnectionsMax, 'connections');
export const timeoutOf = wholeNumber(1, limits.timeoutSecondsMax, 'seconds');
export const timeoutPerGibOf = wholeNumber(1, limits.timeoutSecondsPerGibMax, 'seconds');
export const stallTimeoutOf = wholeNumber(1, limits.stallSecondsMax, 'seconds');
export const seconds = (max: number) => wholeNumber(1, max, 'seconds');
export const eventIdOf = wholeNumber(0, 999_999_999_999_999, 'the id of an event');
export const portBaseOf = wholeNumber(1, 65_532, 'ports');

export const proofOf = (text: string): string => {
  if (text.length >= 8 && text.length <= limits.reasonCharsMax) return text;
  throw new InvalidArgumentError(`Say in 8 to ${limits.reasonCharsMax} characters how the other side was fenced.`);
};
