import {
  changeStream,
  channelHeader,
  createdStream,
  createStream,
  migrationHeader,
  streamList,
  streamProtocol,
  streamResource,
  ticketHeader,
  uuid,
  z,
} from '@vmferry/api';
import { detachSocket } from '@vmferry/posix';
import { acceptUpgrade, defineRoute, type Route, type UpgradeRoute } from '@vmferry/service';
import { refused } from '@vmferry/tls';
import { armPeer, type Streams } from './streams/streams.js';

const params = z.strictObject({ id: uuid });

/** The routes of a relay. `publicUrl` is asked when it is needed: it may be known only when the relay listens. */
export function streamRoutes(streams: Streams, publicUrl: () => string): Route[] {
  return [...allStreams(streams, publicUrl), ...oneStream(streams, publicUrl)];
}

function allStreams(streams: Streams, publicUrl: () => string): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/streams',
      summary:
        'Opens a stream, or a family of them: a destination waits for its peer, a source goes to it and answers when the peer accepted.',
      permission: 'relay',
      body: createStream,
      bodyBytesMax: 4_096,
      reply: { status: 201, schema: createdStream },
      problems: [
        'too-many-requests',
        'ticket-invalid',
        'certificate-refused',
        'stream-not-found',
        'peer-unreachable',
        'peer-nonsense',
        'stream-failed',
      ],
      async handler({ body, signal }) {
        const stream = await streams.create(body, publicUrl(), signal);
        return { body: stream, headers: { location: `/v1/streams/${stream.id}` } };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/streams',
      summary: 'Lists the open streams and the last 1,000 finished ones, oldest first.',
      permission: 'relay',
      reply: { status: 200, schema: streamList },
      problems: ['certificate-refused'],
      handler: () => ({ body: { streams: streams.list().map((stream) => stream.describe(publicUrl())) } }),
    }),
  ];
}

function oneStream(streams: Streams, publicUrl: () => string): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/streams/:id',
      summary: 'Tells of a stream: its state, its bytes, how long it has been silent, why it failed.',
      permission: 'relay',
      params,
      reply: { status: 200, schema: streamResource },
      problems: ['certificate-refused', 'stream-not-found'],
      handler: ({ params: { id } }) => ({ body: streams.get(id).describe(publicUrl()) }),
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/streams/:id',
      summary: 'Changes the bandwidth of an open stream, also while it streams; null lifts its cap.',
      permission: 'relay',
      whileDraining: true,
      params,
      body: changeStream,
      bodyBytesMax: 4_096,
      reply: { status: 200, schema: streamResource },
      problems: ['certificate-refused', 'stream-not-found', 'stream-over'],
      handler({ params: { id }, body: { bandwidthMibPerSec } }) {
        const stream = streams.get(id);
        stream.limitBandwidth(bandwidthMibPerSec);
        return { body: stream.describe(publicUrl()) };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/streams/:id',
      summary: 'Aborts an open stream by a reset of both ends, and its whole family; one that is over stays as it ended.',
      permission: 'relay',
      whileDraining: true,
      params,
      reply: { status: 204 },
      problems: ['certificate-refused', 'stream-not-found'],
      async handler({ params: { id }, principal }) {
        const stream = streams.get(id);
        stream.fail(`it was ended by a DELETE of ${principal.name}`);
        await stream.over;
        return {};
      },
    }),
  ];
}

/** Where the relay of the source attaches, with its ticket and the migration's id in headers. */
export function streamUpgrades(streams: Streams): UpgradeRoute[] {
  return [
    {
      path: '/v1/streams/:id/attach',
      summary: 'Attaches the peer relay to a stream: an HTTP upgrade with the one-time ticket.',
      protocol: streamProtocol,
      problems: ['certificate-refused', 'stream-not-found', 'ticket-invalid'],
      async handler({ params: { id = '' }, request, socket, head, certificate }) {
        if (certificate !== null && !certificate.roles.has('relay'))
          throw refused(`a stream is attached by a relay, and ${certificate.name} is none`);
        const stream = streams.attachable(id, headerText(request.headers[channelHeader]));
        stream.admit(headerText(request.headers[ticketHeader]), headerText(request.headers[migrationHeader]));
        try {
          armPeer(socket);
          const tls = streams.sessionOfPeer(socket);
          await acceptUpgrade(socket, streamProtocol);
          await stream.attachPeer(detachSocket(socket), head, tls);
        } catch (thrown) {
          // The ticket is used up, so nobody else can come: the stream has nothing to wait for.
          stream.fail('the peer left while it was admitted');
          throw thrown;
        }
      },
    },
  ];
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : '';
}
