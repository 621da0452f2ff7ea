import {
  type ChangeStream,
  type CreatedStream,
  type CreateStream,
  createdStream,
  type StreamResource,
  streamList,
  streamResource,
  type z,
} from '@vmferry/api';
import { AppClient, nothing, segment } from './app-client.js';
import type { CallOptions } from './caller.js';

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

  /** Changes the bandwidth of an open stream, also while it streams. */
  changeStream(id: string, body: ChangeStream, options: CallOptions = {}): Promise<StreamResource> {
    return this.caller.call({ method: 'patch', path: `/v1/streams/${segment(id)}`, body, reply: streamResource, ...options });
  }

  /** Aborts a stream that is open: both its ends see a reset. One that is over stays listed as it ended. */
  abortStream(id: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: `/v1/streams/${segment(id)}`, reply: nothing, ...options });
  }
}
