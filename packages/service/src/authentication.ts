import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { z } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { certificateOf } from './certificates.js';
import { type Permission, type Principal, permissions } from './permission.js';

/** `local`: no credentials are configured, so the app stays on loopback. `tokens`: bearer tokens, compared by digest. */
export type Authenticator =
  | { readonly t: 'local' }
  | { readonly t: 'tokens'; readonly tokens: readonly { readonly digest: Buffer; readonly principal: Principal }[] };

const credentialsFile = z.strictObject({
  tokens: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9._@-]{1,64}$/),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits, as sha256sum prints'),
        permissions: z.array(z.enum(permissions)),
      }),
    )
    .min(1)
    .max(256),
});

const localPrincipal: Principal = { name: 'local', permissions: new Set(permissions) };
const none: ReadonlySet<Permission> = new Set();
const nobody: Principal = { name: 'nobody', permissions: none };
/** An agent is its certificate; a client's certificate lets it in, and what it may do is what its token says. */
const ofAgents: ReadonlySet<Permission> = new Set(['read', 'relay']);

/** Reads `{tokens:[{name, sha256, permissions}]}`; without a path the app is open, and bound to loopback. */
export function loadAuthenticator(path: string | undefined): Authenticator {
  if (path === undefined) return { t: 'local' };
  const parsed = credentialsFile.safeParse(readJson(path));
  if (!parsed.success) {
    throw new VmferryError('invalid-argument', `The credentials file ${path} is not valid: ${z.prettifyError(parsed.error)}`);
  }
  const tokens = parsed.data.tokens.map((token) => ({
    digest: Buffer.from(token.sha256, 'hex'),
    principal: { name: token.name, permissions: new Set(token.permissions) },
  }));
  return { t: 'tokens', tokens };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new VmferryError('invalid-argument', `The credentials file ${path} cannot be read as JSON.`, { cause });
  }
}

/**
 * Who sends this request; `nobody` when it brings no credentials. Throws 'unauthenticated' for wrong ones, and over TLS
 * 'certificate-refused'.
 */
export function authenticate(authenticator: Authenticator, request: IncomingMessage): Principal {
  const certificate = certificateOf(request.socket);
  if (certificate?.roles.has('agent') === true) return { name: certificate.name, permissions: ofAgents };
  if (certificate !== null && (authenticator.t === 'local' || !certificate.roles.has('client'))) {
    return { name: certificate.name, permissions: none };
  }
  if (authenticator.t === 'local') {
    refuseForeignOrigin(request);
    return localPrincipal;
  }
  const header = request.headers.authorization;
  if (header === undefined) return nobody;
  const given = createHash('sha256')
    .update(/^Bearer ([\x21-\x7e]{1,512})$/.exec(header)?.[1] ?? '')
    .digest();
  // Every digest is compared, so that the time tells nothing of which one matched.
  const matches = authenticator.tokens.filter((token) => timingSafeEqual(token.digest, given));
  const match = matches[0];
  if (match === undefined) throw new VmferryError('unauthenticated', 'The bearer token is not known here.');
  return match.principal;
}

/**
 * A browser on this machine reaches loopback too. A page of another site is refused by its Origin, and a name that was made to
 * resolve to loopback (DNS rebinding) by the Host that it names.
 */
function refuseForeignOrigin(request: IncomingMessage): void {
  const { host = '', origin } = request.headers;
  const named = hostNameOf(host);
  if (!isLoopback(named)) {
    throw new VmferryError('forbidden', `Without credentials this service answers on loopback only, not to the name "${named}".`);
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new VmferryError('forbidden', `Without credentials this service does not answer pages of ${origin.slice(0, 128)}.`);
  }
}

function hostNameOf(host: string): string {
  return host
    .replace(/:\d{1,5}$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .slice(0, 128);
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
