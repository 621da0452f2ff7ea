import { VmferryError } from '@vmferry/errors';

/** Reads `HOST:PORT` or `[IPV6]:PORT`; port 0 lets the system choose. Throws 'invalid-argument'. */
export function parseListenAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new VmferryError(
      'invalid-argument',
      `Cannot listen on "${text}"; write HOST:PORT, such as 127.0.0.1:7701 or [::1]:7701.`,
    );
  }
  return { host, port };
}
