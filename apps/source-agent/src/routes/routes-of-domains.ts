import type { Route } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domains } from '../domains/domains.js';
import type { Lifecycle } from '../domains/lifecycle.js';
import { Saving } from '../saving/saving.js';
import { domainAdminRoutes } from './domain-admin-routes.js';
import { domainControlRoutes } from './domain-control-routes.js';
import { domainQueryRoutes, jobAbortRoute } from './domain-query-routes.js';
import { domainReadRoutes, domainRoutes } from './domain-routes.js';
import { leaseRoutes } from './lease-routes.js';
import { savingRoutes } from './saving-routes.js';

/** All that can be done with a domain besides migrating it. */
export function routesOfDomains(context: SourceContext, domains: Domains, lifecycle: Lifecycle): Route[] {
  return [
    // First, because `attach` is no domain's name in a POST: what that path takes is told by its own row.
    ...domainAdminRoutes(domains),
    ...domainReadRoutes(domains),
    ...domainQueryRoutes(domains),
    ...domainRoutes(domains),
    jobAbortRoute(domains),
    ...savingRoutes(context, domains, new Saving(context, domains)),
    ...leaseRoutes(context),
    ...domainControlRoutes(domains, lifecycle),
  ];
}
