import { limits } from './limits.js';
import { z } from './z.js';

/** A uuid as libvirt accepts it: any version, lower or upper case. */
export const uuid = z.guid().transform((text) => text.toLowerCase());

/** A domain's name or uuid, as virsh takes either. */
export const domainRef = z.string().min(1).max(limits.nameCharsMax);

// The control characters by their numbers: the pattern is also that of openapi.json, where a class by its Unicode name would need a flag.
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that no name has
const nameLetters = /^[^\s/\u0000-\u001f\u007f-\u009f][^/\u0000-\u001f\u007f-\u009f]*$/;

export const domainName = z
  .string()
  .min(1)
  .max(limits.nameCharsMax)
  .regex(nameLetters, 'a name has no slash, no control character and does not begin with a space');

/** A migration's id: the client may choose one; it names files, so its letters are few. `check` is a route of its own. */
export const migrationId = z
  .string()
  .regex(/^(?!check$)[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, '1 to 64 letters, digits, - or _, and not "check"');

/** A host's name for itself, as its state folder keeps it: printable ASCII without blanks. */
export const hostName = z
  .string()
  .max(limits.hostNameCharsMax)
  .regex(/^[!-~]+$/, 'printable ASCII without blanks');

/** The 128 random bits from Begin that make a migration's key unique (handover rule, "Around it"). */
export const nonce = z.string().regex(/^[0-9a-f]{32}$/, '32 lower-case hex digits');

export const storeId = z.string().regex(/^[0-9a-f]{32}$/, '32 lower-case hex digits');

/**
 * Base64 of a cookie's bytes, the terminating NUL among them; empty stands for no cookie. Its reader keeps the bound of 16,384 bytes
 * (S46), so that a larger one is `cookie-too-large` however it is encoded; the body's own limit stands before it.
 */
export const cookieText = z.string().openapi({ maxLength: limits.cookieBase64CharsMax });

/** Its parser keeps the bound: `xml-too-large`. */
export const domainXml = z.string().min(1).openapi({ maxLength: limits.domainXmlBytesMax });

export const flagNames = z.array(z.string().min(1).max(limits.flagCharsMax)).max(limits.flagCount);

export const bandwidthMibPerSec = z.int().min(1).max(limits.bandwidthMibPerSecMax);

/** Channels of a parallel migration beside its main one (libvirt's `parallel.connections`); 2 when PARALLEL is given without it. */
export const parallelConnections = z.int().min(1).max(limits.parallelConnectionsMax);

/** The protocol of a migration: `v3`, or `v2` for a destination that offers nothing else. */
export const migrationProtocol = z.enum(['v3', 'v2']);

export const downtimeMs = z.int().min(1).max(limits.downtimeMsMax);

/** RFC 3339, UTC, milliseconds. */
export const timestamp = z.iso.datetime({ precision: 3 });

export const asyncJobKind = z.enum(['migration-out', 'migration-in', 'save', 'dump']);

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    retryable: z.boolean(),
  })
  .openapi('Problem');
