import { BlockList, isIP } from 'node:net';

/** Where no other host of a migration is: unspecified, link-local with the metadata of clouds, multicast, reserved. */
const refusedV4 = listOf('ipv4', ['0.0.0.0/8', '169.254.0.0/16', '100.100.100.200/32', '192.0.0.192/32', '224.0.0.0/3']);
/** The same, and an IPv4 address that is dressed as IPv6. Apart from the other list, because a mapped address is looked up in both. */
const refusedV6 = listOf('ipv6', ['::/128', '::ffff:0:0/96', '64:ff9b::/96', 'fd00:ec2::/32', 'fe80::/10', 'ff00::/8']);

function listOf(family: 'ipv4' | 'ipv6', subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [net = '', prefix] = subnet.split('/');
    list.addSubnet(net, Number(prefix), family);
  }
  return list;
}

/** Whether nobody connects to this IP address, given without brackets, whatever name led to it. */
export function isRefusedAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return refusedV4.check(address, 'ipv4');
    case 6:
      return refusedV6.check(address, 'ipv6');
    default:
      return false;
  }
}

/** What an address of a caller's consists of. */
export interface Parts {
  readonly scheme: string;
  /** A name or an address; one of IPv6 stands in brackets. */
  readonly host: string;
  /** As it is written; undefined when the scheme's own is meant. */
  readonly port: string | undefined;
  readonly path: string;
}

const plainUrl =
  /^(https?):\/\/(\[[0-9A-Fa-f:]{2,39}\]|[0-9A-Za-z](?:[0-9A-Za-z_.-]{0,251}[0-9A-Za-z])?)(?::([1-9][0-9]{0,4}))?((?:\/[0-9A-Za-z_~.-]*)*)$/;

/**
 * Reads a URL that means what it says: no credentials, query, fragment or escapes, and a host that no reader would understand otherwise
 * (`127.1`, `0x7f000001`). What is wrong is told in words; nothing is repaired.
 */
export function partsOf(text: string): Parts | string {
  const [, scheme = '', host = '', port, path = ''] = plainUrl.exec(text) ?? [];
  if (scheme === '' || !URL.canParse(text)) return 'give http://HOST or http://HOST:PORT, without credentials, query or escapes';
  const url = new URL(text);
  const isLiteral = host.startsWith('[');
  if (!isLiteral && url.hostname !== host.toLowerCase()) return 'the host is an address in another spelling; write it plainly';
  if (url.pathname !== (path === '' ? '/' : path)) return 'the path has segments of dots';
  if (isRefusedAddress(url.hostname.replace(/^\[|\]$/g, ''))) return 'the host is an address that no other host has';
  return { scheme, host, port, path };
}
