import { features } from '@vmferry/api';
import type { MigrateTls } from './migrate-tls.js';

/** What either agent tells of the ways that a stream can go from or to its host. */
export function featuresOf({
  relay,
  migrateTls,
}: {
  readonly relay: { readonly baseUrl: string } | null;
  readonly migrateTls: MigrateTls;
}): string[] {
  return [
    ...(relay === null ? [] : [features.tunnelled]),
    ...(relay?.baseUrl.startsWith('https:') === true ? [features.tunnelTls] : []),
    ...(migrateTls.offered ? [features.tls] : []),
  ];
}
