import { agentUrl, type Perform2Request, type PerformRequest, parseTcpUri, performUri } from '@vmferry/api';
import {
  type CookieGraphics,
  type CookiePeer,
  type CookieStream,
  cookieFromBase64,
  decodeCookie,
  type MigrationCookie,
} from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import {
  isOffline,
  type MigrationKey,
  type Protocol,
  parseFlags,
  refuseOtherThanBegun,
  refuseSendingWishes,
} from '@vmferry/migration';
import type { SourceContext } from '../context.js';

/** What Prepare's cookie must be of. */
export interface PerformOf {
  readonly domain: { readonly name: string; readonly uuid: string };
  readonly key: MigrationKey;
  readonly protocol: Protocol;
  readonly offline: boolean;
  /** Channels beside the main one; null for a migration that is not parallel. */
  readonly channels: number | null;
}

/** A Perform whose every part was read and accepted; nothing has happened yet. */
export interface AcceptedPerform {
  readonly peer: CookiePeer;
  /** Null when it is offline: nothing streams. */
  readonly stream: CookieStream | null;
  readonly bandwidthMibPerSec: number | undefined;
  /** Where the clients of the display go on: on the host that the cookie of Prepare names (S30). Null without a display. */
  readonly display: (CookieGraphics & { readonly hostName: string }) | null;
}

/** Reads and checks the Perform of either protocol in full, before any side effect. */
export function acceptPerform(context: SourceContext, of: PerformOf, body: PerformRequest | Perform2Request): AcceptedPerform {
  const flags = parseFlags(body.flags ?? []);
  // Perform may leave its flags out.
  if (flags.size > 0) refuseOtherThanBegun(of.key.id, 'perform', { begun: of.offline, taken: isOffline(flags) });
  const { hostName, graphics, vmferry } = readCookie(context, of, body.cookie);
  const { peer, stream } = vmferry ?? {};
  if (of.offline) refuseSendingWishes(body);
  if (peer === undefined || peer.role !== 'destination' || (stream === undefined && !of.offline)) {
    throw new VmferryError('cookie-malformed', 'The cookie of Prepare names no destination agent or no stream.');
  }
  refuseBadUrl('destination agent', peer.url, agentUrl);
  if (stream !== undefined) {
    refuseBadUrl('stream', stream.url, performUri);
    refuseUnmetTls(context, stream);
    refuseOtherChannels(of, stream);
  }
  return {
    peer,
    stream: stream === undefined || of.offline ? null : { ...stream, url: streamUrl(context, peer, stream, body.uri) },
    bandwidthMibPerSec: body.bandwidthMibPerSec,
    display: graphics === undefined ? null : { hostName, ...graphics },
  };
}

function refuseBadUrl(what: string, url: string, schema: typeof agentUrl): void {
  if (schema.safeParse(url).success) return;
  throw new VmferryError('cookie-malformed', `The cookie of Prepare names a ${what} that nobody connects to: ${url}.`);
}

/** A stream is encrypted between two relays; the agents' own, of a direct migration, is not. */
function refuseUnmetTls({ relay }: SourceContext, { url }: CookieStream): void {
  if (!url.startsWith('https:') || relay?.baseUrl.startsWith('https:') === true) return;
  throw new VmferryError(
    'invalid-argument',
    `The destination takes the stream over TLS (${url}), and no relay of this host has a certificate; give it one with --tls-cert.`,
  );
}

function refuseOtherChannels({ channels, offline }: PerformOf, stream: CookieStream): void {
  if (offline || (stream.channels ?? null) === channels) return;
  const said = (count: number | null) => (count === null ? 'one stream' : `a family of ${count} channels beside the main one`);
  throw new VmferryError(
    'cookie-malformed',
    `The cookie of Prepare names ${said(stream.channels ?? null)}, and the migration was begun for ${said(channels)}.`,
  );
}

/** A cookie of this migration from the other host. */
export function readCookie({ host }: SourceContext, { domain, key }: PerformOf, base64: string): MigrationCookie {
  return decodeCookie(cookieFromBase64(base64), {
    name: domain.name,
    uuid: domain.uuid,
    localHostName: host.hostName,
    localHostUuid: host.hostUuid,
    migration: key,
  });
}

/** S32: `uri` may name the stream that Prepare offered by another host name; another stream or protocol, or a stranger's host, it may not. */
function streamUrl({ peers }: SourceContext, peer: CookiePeer, stream: CookieStream, uri: string | undefined): string {
  if (uri !== undefined && whatStreams(uri) !== whatStreams(stream.url)) {
    throw new VmferryError('invalid-argument', `The uri ${uri} is not of the stream that Prepare offered, ${stream.url}.`, {
      errors: [{ path: '/body/uri', code: 'invalid-argument', detail: 'another stream than that of the cookie' }],
    });
  }
  const url = uri ?? stream.url;
  peers.refuseForeignStream(url, peer.url);
  return url;
}

/** Which stream of a host it is: by its path there, or by the port that QEMU listens on. */
function whatStreams(uri: string): string {
  const tcp = parseTcpUri(uri);
  if (typeof tcp !== 'string') return `tcp ${tcp.port}`;
  const { protocol, pathname } = new URL(uri);
  return `${protocol} ${pathname}`;
}
