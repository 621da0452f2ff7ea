import { partsOf } from './addresses.js';

/** The end of a stream that a QEMU listens at, as libvirt's `tcp:` URIs name it. */
export interface TcpUri {
  /** A name or an address; one of IPv6 stands in brackets. */
  readonly host: string;
  /** 1 to 65,535; null when the destination is to pick one. */
  readonly port: number | null;
}

const grammar = 'give tcp:HOST or tcp:HOST:PORT, an IPv6 address in brackets';

/** Whether it is meant as a `tcp:` URI, however wrong it may be. */
export const isTcp = (uri: string): boolean => uri.startsWith('tcp:');

/**
 * Reads `tcp:HOST[:PORT]`, and the later spelling `tcp://HOST[:PORT]` as the same (libvirt-protocol, A3). The host is held against what every
 * address of a caller is. What is wrong is told in words.
 */
export function parseTcpUri(uri: string): TcpUri | string {
  if (!isTcp(uri)) return grammar;
  const parts = partsOf(`http://${uri.replace(/^tcp:(\/\/)?/, '')}`);
  if (typeof parts === 'string') return parts.startsWith('give ') ? grammar : parts;
  if (parts.path !== '') return grammar;
  return { host: parts.host, port: parts.port === undefined ? null : Number(parts.port) };
}

/** As Prepare answers it, in libvirt's own spelling. */
export function formatTcpUri(host: string, port: number): string {
  return `tcp:${host}:${port}`;
}
