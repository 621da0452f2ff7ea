import { migrationHeader, streamProtocol, ticketHeader } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { acceptUpgrade, type UpgradeRoute } from '@vmferry/service';
import type { Incomings } from '../incoming/incomings.js';

/** Direct mode: the source's connection, admitted by its one-time ticket, becomes QEMU's. QEMU itself never listens on TCP. */
export function streamRoute(incomings: Incomings): UpgradeRoute {
  return {
    path: '/v1/migrations/:id/stream',
    summary: 'The memory stream of a direct migration.',
    protocol: streamProtocol,
    problems: ['migration-not-found', 'ticket-invalid', 'malformed-request', 'stream-failed'],
    async handler({ params: { id = '' }, request, socket, head, log }) {
      const incoming = incomings.byId(id);
      if (request.headers[migrationHeader] !== id)
        throw new VmferryError('ticket-invalid', `The stream was opened for another migration than ${id}.`);
      incoming.redeem(ticketOf(request.headers[ticketHeader]));
      if (head.length > 0) throw new VmferryError('malformed-request', 'A stream begins after the answer, not before it.');
      await acceptUpgrade(socket, streamProtocol);
      // The answer is sent already: what is left is to end the connection, and QEMU's own end tells the rest.
      await incoming.attach(socket).catch((error: unknown) => log.error('QEMU did not take the stream', { error }));
    },
  };
}

function ticketOf(header: string | string[] | undefined): string {
  if (typeof header === 'string' && header !== '') return header;
  throw new VmferryError('ticket-invalid', 'The stream was opened without its ticket.');
}
