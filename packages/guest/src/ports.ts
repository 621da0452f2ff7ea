import { once } from 'node:events';
import { createServer } from 'node:net';
import { VmferryError } from '@vmferry/errors';

/** Ports of this host that its QEMUs may listen on, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Whether nothing has this port at this moment. Throws `invalid-argument` for a host that nothing here can listen on. */
export async function canBind(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return false;
    throw new VmferryError('invalid-argument', `No QEMU of this host can listen on ${host}: ${message}.`, { cause });
  } finally {
    server.close();
  }
}
