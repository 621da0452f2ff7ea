import {
  type ChangeStream,
  type CreatedStream,
  type CreateStream,
  createdStream,
  readyReply,
  type StreamResource,
  streamList,
  streamResource,
  type z,
} from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { AppClient, nothing, segment } from './app-client.js';
import type { CallOptions } from './caller.js';

/** No stream has it. */
const nobody = '00000000-0000-4000-8000-000000000000';

/** The tunnel-relay: streams. */
export class RelayClient extends AppClient {
  createStream(body: CreateStream, options: CallOptions = {}): Promise<CreatedStream> {
    return this.caller.call({ method: 'post', path: '/v1/streams', body, reply: createdStream, ...options });
  }

  streams(options: CallOptions = {}): Promise<z.output<typeof streamList>> {
    return this.caller.call({ method: 'get', path: '/v1/streams', reply: streamList, ...options });
  }

  stream(id: string, options: CallOptions = {}): Promise<StreamResource> {
    return this.caller.call({ method: 'get', path: `/v1/streams/${segment(id)}`, reply: streamResource, ...options });
  }

  /**
   * Whether a stream could be opened here now: it answers, takes the caller for an agent, and is not about to end. Throws what a creation would throw.
   */
  async refuseUnlessTaking(options: CallOptions = {}): Promise<void> {
    await this.stream(nobody, options).catch((thrown: unknown) => {
      if (!VmferryError.is(thrown, 'stream-not-found')) throw thrown;
    });
    const { ready, checks } = await this.caller.call({
      method: 'get',
      path: '/readyz',
      reply: readyReply,
      alsoStatus: 503,
      ...options,
    });
    if (ready) return;
    const faults = Object.values(checks).flatMap(({ ok, detail }) => (ok ? [] : [detail]));
    throw new VmferryError('draining', `The relay ${this.baseUrl} takes no streams: ${faults.join(', ')}.`);
  }

  /** Changes the bandwidth of an open stream, also while it streams. */
  changeStream(id: string, body: ChangeStream, options: CallOptions = {}): Promise<StreamResource> {
    return this.caller.call({ method: 'patch', path: `/v1/streams/${segment(id)}`, body, reply: streamResource, ...options });
  }

  /** Aborts a stream that is open: both its ends see a reset. One that is over stays listed as it ended. */
  abortStream(id: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: `/v1/streams/${segment(id)}`, reply: nothing, ...options });
  }
}
