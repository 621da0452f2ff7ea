import type { BeginRequest } from '@vmferry/api';
import { checkSupported } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { checkOffline, type MigrationFlags } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import { refuseIncoming } from '../domains/arriving.js';
import type { Domain } from '../domains/domain.js';

/** What has to hold before the Begin of an offline migration, each by itself, in the place of what is asked of a guest. */
export function offlineChecks(
  context: SourceContext,
  domain: Domain,
  { flags, body }: { readonly flags: () => MigrationFlags; readonly body: BeginRequest },
): (() => unknown)[] {
  return [
    () => checkOffline(flags(), body),
    () => refuseActive(domain),
    () => domain.refuseUndecided(),
    // What these two look for is, of an active domain, its guest, and was told above.
    () => isActive(domain) || refuseWithoutDefinition(domain),
    // Whether a guest of it comes in or runs that this agent does not have in hand, its status document says.
    () => isActive(domain) || refuseIncoming(context, domain),
    () => checkSupported(domain.definition),
  ];
}

const isActive = ({ guest, hasProcess }: Domain) => guest !== null || hasProcess;

/** Two definitions of a guest that runs invite a second start of it. */
function refuseActive(domain: Domain): void {
  const { name, state } = domain;
  if (!isActive(domain)) return;
  throw new VmferryError(
    'domain-running',
    `The domain ${name} is ${state.state}; with OFFLINE only the definition of one that is not active is migrated. Shut it down, or migrate it without OFFLINE.`,
  );
}

function refuseWithoutDefinition({ name, config }: Domain): void {
  if (config !== null) return;
  throw new VmferryError('domain-not-running', `The domain ${name} has neither a guest nor a definition that could be migrated.`);
}
