import { migrationHeader, streamProtocol, ticketHeader } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { Channel } from '@vmferry/guest';
import { acceptUpgrade, type UpgradeRoute } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import type { Incomings } from '../incoming/incomings.js';

/** Direct mode: the source's connection, admitted by its one-time ticket, becomes QEMU's. QEMU itself never listens on TCP. */
export function streamRoute(context: DestinationContext, incomings: Incomings): UpgradeRoute {
  return {
    path: '/v1/migrations/:id/stream',
    summary: 'The memory stream of a direct migration.',
    protocol: streamProtocol,
    problems: ['migration-not-found', 'ticket-invalid', 'malformed-request', 'stream-failed'],
    async handler({ params, request, socket, head, log }) {
      const incoming = incomings.byId(params.id ?? '');
      const { stream, guest } = incoming;
      if (request.headers[migrationHeader] !== params.id || stream === null || guest === null)
        throw new VmferryError('ticket-invalid', `The migration ${params.id} takes no stream now.`);
      stream.redeem(ticketOf(request.headers[ticketHeader]));
      if (head.length > 0) throw new VmferryError('malformed-request', 'A stream begins after the answer, not before it.');
      await acceptUpgrade(socket, streamProtocol);
      const channel = Channel.of(socket);
      try {
        await stream.attach(channel, guest);
        await context.faults('D10');
      } catch (error) {
        // The answer is sent already: what is left is to end the connection, and QEMU's own end tells the rest.
        log.error('QEMU did not take the stream', { error });
        channel.shut();
      }
    },
  };
}

function ticketOf(header: string | string[] | undefined): string {
  if (typeof header === 'string' && header !== '') return header;
  throw new VmferryError('ticket-invalid', 'The stream was opened without its ticket.');
}
