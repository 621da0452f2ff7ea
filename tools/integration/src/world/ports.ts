import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Something else on this machine that has a port. */
export async function occupy(port: number, host = '127.0.0.1'): Promise<Server> {
  const server = createServer().listen({ port, host });
  await once(server, 'listening');
  return server;
}

export async function vacate(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** Throws when somebody has it. */
export async function expectFree(port: number): Promise<void> {
  await vacate(await occupy(port));
}
