import type { RelayClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { type Clock, sleep } from '@vmferry/seams';

/** A relay that stands still must not keep a guest from being rolled back. */
const askDeadlineMs = 500;
const askAgainMs = 50;

/**
 * What the relay of this host knows of a stream that broke, in a sentence: QEMU sees no more of it than a socket that ended. Never throws; takes at most half
 * a second, for the relay may learn of the end a moment after QEMU does.
 */
export async function relayWord(relay: Pick<RelayClient, 'stream'>, streamId: string, clock: Clock): Promise<string> {
  const giveUp = new AbortController();
  const timer = clock.after(askDeadlineMs, () => giveUp.abort());
  try {
    return await reasonOf(relay, streamId, clock, giveUp.signal);
  } catch (thrown) {
    return `The tunnel relay of this host does not say why: ${whyNot(thrown, giveUp.signal)}.`;
  } finally {
    timer.cancel();
  }
}

async function reasonOf(
  relay: Pick<RelayClient, 'stream'>,
  streamId: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    const { state, reason } = await relay.stream(streamId, { signal });
    if (reason !== null) return `The tunnel relay of this host says of stream ${streamId}: ${reason}.`;
    if (state === 'closed') return `The tunnel relay of this host saw stream ${streamId} end cleanly.`;
    await sleep(clock, askAgainMs, signal);
  }
}

function whyNot(thrown: unknown, { aborted }: AbortSignal): string {
  if (aborted) return 'it has no reason for the stream';
  if (VmferryError.is(thrown, 'peer-unreachable')) return 'it cannot be reached, as when it has ended';
  if (VmferryError.is(thrown, 'stream-not-found')) return 'it does not know the stream, as when it was started again';
  return VmferryError.from(thrown).message.replace(/\.$/, '');
}
