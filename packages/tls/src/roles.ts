import type { X509Certificate } from 'node:crypto';

/** What the owner of a certificate is. A `client` is whoever is neither: a person, an orchestrator. */
const roles = ['relay', 'agent', 'client'] as const;
export type Role = (typeof roles)[number];

const uriOf = (role: Role): string => `vmferry://role/${role}`;

/** One name of a subjectAltName as Node writes it; a value that could be taken for two names stands in quotes, as JSON. */
const name = /([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;

/**
 * The roles that a certificate names among its subjectAltName URIs, `vmferry://role/relay` and the like. None when the names cannot be
 * read as a whole: a part of them is not to be trusted alone.
 */
export function rolesOf({ subjectAltName = '' }: Pick<X509Certificate, 'subjectAltName'>): ReadonlySet<Role> {
  const uris = new Set<string>();
  name.lastIndex = 0;
  for (let at = 0; at < subjectAltName.length; at = name.lastIndex) {
    const [, kind, value = ''] = name.exec(subjectAltName) ?? [];
    if (kind === undefined) return new Set();
    if (kind === 'URI') uris.add(value);
  }
  return new Set(roles.filter((role) => uris.has(uriOf(role))));
}
