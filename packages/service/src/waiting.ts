import type { Publisher } from './publisher.js';
import type { RouteAnswer, RouteContext } from './route.js';

/**
 * Answers a step that may last long: 200 with its result when it is done within `Prefer: wait=N` (without the header: whenever it
 * is done), else 202 with the Location of the resource that tells how far it is. The client repeats the same request for the
 * result; the step goes on meanwhile, also when nobody listens any more.
 */
export async function answerWithin<R>(ctx: RouteContext, result: Promise<R>, location: string): Promise<RouteAnswer<R>> {
  const applied: Record<string, string> =
    ctx.waitSeconds === undefined ? {} : { 'preference-applied': `wait=${ctx.waitSeconds}` };
  const over = waitingIsOver(ctx);
  try {
    const outcome = await Promise.race([result.then((body) => ({ body })), over.promise]);
    if (outcome !== 'over') return { headers: applied, body: outcome.body };
    // Its failure is recorded where it is taken (StepReplies); here nobody waits for it any more.
    result.catch(() => undefined);
    return { status: 202, headers: { ...applied, location } };
  } finally {
    over.cancel();
  }
}

function waitingIsOver(ctx: RouteContext): { promise: Promise<'over'>; cancel(): void } {
  const either = AbortSignal.any([ctx.signal, ctx.draining]);
  let finish = () => {};
  const promise = new Promise<'over'>((resolve) => {
    finish = () => resolve('over');
  });
  const timer = ctx.waitSeconds === undefined ? undefined : ctx.clock.after(ctx.waitSeconds * 1_000, finish);
  if (either.aborted) finish();
  else either.addEventListener('abort', finish, { once: true });
  return {
    promise,
    cancel() {
      timer?.cancel();
      either.removeEventListener('abort', finish);
    },
  };
}

/**
 * The answer of a GET with `waitQuery`: at once without `afterGeneration`, else as soon as the generation is above it or the time is
 * over. The ETag is the generation.
 */
export async function longPoll<T>(
  ctx: RouteContext,
  publisher: Publisher<T>,
  query: { readonly afterGeneration?: number | undefined; readonly timeoutSeconds: number },
): Promise<RouteAnswer<T>> {
  const signal = AbortSignal.any([ctx.signal, ctx.draining]);
  const { value, generation } =
    query.afterGeneration === undefined
      ? publisher.current
      : await publisher.waitAfter(query.afterGeneration, query.timeoutSeconds * 1_000, signal);
  return { headers: { etag: `"${generation}"` }, body: value };
}
