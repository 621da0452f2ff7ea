import type { AuditedRequest, Auditor } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import type { Log } from './log.js';
import type { Route, RouteAnswer, RouteContext, ToldOfCall } from './route.js';
import { errorOf } from './thrown.js';

/** Of a path; what a route takes is shorter. */
const pathCharsMax = 512;

/**
 * Acts, and audits what came of it: with principal and request id, the refused call too. A caller has its answer when the record is durable; a step of
 * a migration does not wait for that, because its answer is part of the downtime. A record that cannot be written makes no failure of an act that
 * was done: the auditor owes it, and the log says so.
 */
export async function audited(
  auditor: Pick<Auditor, 'api'>,
  log: Log,
  route: Route,
  call: Pick<AuditedRequest, 'principal' | 'requestId' | 'method' | 'path'>,
  act: (tell: RouteContext['tell']) => Promise<RouteAnswer>,
): Promise<RouteAnswer> {
  let told: ToldOfCall = {};
  const tell: RouteContext['tell'] = (facts) => {
    told = { ...told, ...facts };
  };
  const write = async (outcome: string, success: boolean) => {
    const { path = call.path, what = '' } = told;
    const record = { ...call, path: path.slice(0, pathCharsMax), outcome: what === '' ? outcome : `${outcome}:${what}`, success };
    const written = auditor
      .api(record)
      .catch((error: unknown) => log.error('a call could not be audited yet', { ...record, error: VmferryError.from(error) }));
    if (route.reply.orAccepted !== true) await written;
  };
  try {
    const answer = await act(tell);
    await write('status' in answer && answer.status === 202 && route.reply.status !== 202 ? 'accepted' : 'ok', true);
    return answer;
  } catch (thrown) {
    await write(errorOf(thrown).code, false);
    throw thrown;
  }
}
