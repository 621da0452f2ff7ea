import type { DisplayPlace } from '@vmferry/api';

/** As a viewer is told where to go; `host` is where it reaches the listening address. */
export function displayText({ type, listen, port, tlsPort }: DisplayPlace, host = listen): string {
  const ports = [...(port === null ? [] : [`port ${port}`]), ...(tlsPort === null ? [] : [`TLS port ${tlsPort}`])];
  return [type, host, ...ports].join(', ');
}
