import type { DomainResource, StartDomain } from '@vmferry/api';
import { HeldSession, type SourceAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { sleep } from '@vmferry/seams';
import { type ExitCode, exitCodes } from '../exit-code.js';
import type { Call } from '../leaf.js';
import { patiently } from '../migration/patience.js';
import { printable } from '../output/printable.js';

export interface StartOptions {
  readonly paused?: true;
  readonly autodestroy?: true;
  readonly force?: true;
  readonly forceBoot?: true;
}

export const autodestroyHelp = 'stay until the guest ends, and destroy it when this command ends first (Ctrl-C)';

export const forceHelp = 'start it also when it may run on the host to which it has been migrated: then two copies may run';

const lookEveryMs = 1_000;

/** Starts a guest; with --autodestroy this command holds the control session that the guest ends with, until the one or the other ends. */
export async function startAndStay(
  call: Call<StartOptions>,
  done: string,
  start: (wish: StartDomain) => Promise<DomainResource>,
): Promise<ExitCode> {
  const { paused, force, forceBoot } = call.options;
  const wish = {
    paused: paused === true,
    ...(force === undefined ? {} : { force }),
    ...(forceBoot === undefined ? {} : { forceBoot }),
  };
  const say = (domain: DomainResource) => call.print(`Domain '${domain.name}' ${done}\n`, domain);
  if (call.options.autodestroy !== true) {
    say(await start(wish));
    return exitCodes.done;
  }
  const { clock, onSignal, stderr } = call.context;
  const over = new AbortController();
  const release = onSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], () => over.abort(interrupted));
  try {
    const session = await HeldSession.open(call.source(), { clock, onLost: (error) => over.abort(error), signal: over.signal });
    try {
      const domain = await start({ ...wish, autodestroy: session.id });
      say(domain);
      stderr.write(`${printable(domain.name)} is destroyed when this command ends\n`);
      await untilItEnds(call, call.source(), domain, over.signal);
      stderr.write(`${printable(domain.name)} has ended\n`);
      return exitCodes.done;
    } finally {
      await session.close();
    }
  } catch (thrown) {
    if (thrown === interrupted) return exitCodes.interrupted;
    throw thrown;
  } finally {
    release();
  }
}

const interrupted = new VmferryError('session-lost', 'This command was ended.');

async function untilItEnds(
  { context: { clock } }: Call<StartOptions>,
  source: SourceAgentClient,
  { uuid, pid }: DomainResource,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(clock, lookEveryMs, signal);
    try {
      if ((await patiently(clock, signal, () => source.domain(uuid, { signal }))).pid !== pid) return;
    } catch (thrown) {
      if (VmferryError.is(thrown, 'domain-not-found')) return;
      throw thrown;
    }
  }
}
