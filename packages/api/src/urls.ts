import { type Parts, partsOf } from './addresses.js';
import { limits } from './limits.js';
import { isTcp, parseTcpUri } from './tcp-uri.js';
import { z } from './z.js';

/*
 * The two URLs of a migration (S32), which are never taken for each other: the management URL is an agent's base URL, libvirt's dconnuri;
 * the stream's URI is where the memory goes, libvirt's uri. Both come from callers, and this host connects to them (threats, row 6).
 */

function addressSchema(faultOf: (text: string) => string | null) {
  return z
    .string()
    .max(limits.urlCharsMax)
    .superRefine((text, context) => {
      const fault = faultOf(text);
      if (fault !== null) context.addIssue({ code: 'custom', message: fault });
    });
}

function urlSchema(accept: (parts: Parts) => string | null) {
  return addressSchema(urlFault(accept));
}

const urlFault = (accept: (parts: Parts) => string | null) => (text: string) => {
  const parts = partsOf(text);
  return typeof parts === 'string' ? parts : accept(parts);
};

/** The base URL of an agent; an app behind a proxy may have a path before its `/v1`. */
export const agentUrl = urlSchema(({ path }) =>
  /\/v1(\/|$)/.test(path) ? "this is the address of a resource or of a stream; give the agent's base URL" : null,
);

const otherName = urlFault(({ path }) =>
  path === '' ? null : 'give HOST or HOST:PORT alone; Prepare adds the path of its stream',
);

/**
 * How the source is to reach the destination for the stream: another network's name for the same agent or relay, or `tcp:HOST[:PORT]` for a
 * port that QEMU itself is to listen on there.
 */
export const migrationUri = addressSchema((text) => (isTcp(text) ? tcpFault(text) : otherName(text)));

const streamFault = urlFault(({ path }) =>
  /\/v1\/.+/.test(path) ? null : 'this names no stream; give the uri that Prepare answered',
);

/** The full address of a stream that an agent or a relay takes, as Prepare made it. */
export const streamUri = addressSchema(streamFault);

/** The same, or `tcp:HOST:PORT`, where QEMU listens. */
export const performUri = addressSchema((text) => (isTcp(text) ? portFault(text) : streamFault(text)));

function tcpFault(text: string): string | null {
  const tcp = parseTcpUri(text);
  return typeof tcp === 'string' ? tcp : null;
}

function portFault(text: string): string | null {
  const tcp = parseTcpUri(text);
  if (typeof tcp === 'string') return tcp;
  return tcp.port === null ? 'this names no port; give the uri that Prepare answered' : null;
}

/**
 * The address of a stream under the name and port of a `migrationUri`; its own port when that names none. Whether it speaks TLS is the
 * stream's own, and never taken away by a caller (threats, row 19).
 */
export function reachedBy(streamUrl: string, uri: string): string {
  const { protocol, port: ownPort, pathname } = new URL(streamUrl);
  const named = partsOf(uri);
  if (typeof named === 'string') return streamUrl;
  const port = named.port ?? ownPort;
  return `${protocol}//${named.host}${port === '' ? '' : `:${port}`}${pathname}`;
}

/** An address of the host itself, as a person writes it. */
export const ipAddress = z.union([z.ipv4(), z.ipv6()]);
