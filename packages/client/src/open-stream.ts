import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import net, { isIP, type LookupFunction, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from 'node:tls';
import { channelHeader, isRefusedAddress, migrationHeader, streamProtocol, ticketHeader } from '@vmferry/api';
import { fromProblem, VmferryError } from '@vmferry/errors';
import { descriptorOf, takeHandle } from '@vmferry/posix';
import { type Clock, systemClock } from '@vmferry/seams';
import { certificateFault, refused, rolesOf, type TlsPem, tlsSettings } from '@vmferry/tls';
import { addressesOfName, bare, refusedAddress } from './guarded-lookup.js';

export interface OpenStreamOptions {
  /** Where a relay or a destination-agent takes the stream (`attachUrl`, or Prepare's `uri`). https only with `tls`, and http only without it. */
  readonly url: string;
  /** What a relay shows its peer, which must show that it is a relay too. */
  readonly tls?: TlsPem | null;
  readonly ticket: string;
  /** The migration that the ticket was given for; the taker refuses the ticket for another one. */
  readonly migrationId: string;
  /** Which stream of a family it is, from 0; only for a family. */
  readonly channel?: number | undefined;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  /** How a host name becomes addresses; the system's way when it is not given. */
  readonly lookup?: typeof systemLookup;
  /**
   * Told the descriptor of the TCP socket before it connects, for options that have to be there by then. Not for a name that has several addresses:
   * Node tries them one after the other only when the socket is not bound, and then there is no descriptor yet.
   */
  readonly beforeConnect?: (fd: number) => void;
}

export interface OpenedStream {
  /** Reading is stopped on it: take it away from Node with `detachSocket` of @vmferry/posix. */
  readonly socket: Socket;
  /** Bytes that came behind the 101; they belong to the stream and go first. */
  readonly head: Buffer;
}

const problemBytesMax = 65_536;

/**
 * Opens a migration stream by an HTTP upgrade. The peer's refusal is its problem document ('ticket-invalid' for one); no answer
 * within the deadline is 'peer-unreachable', an answer of no sense, a redirect among them, 'peer-nonsense'. A name is resolved once, and
 * not connected to when it leads where no other host is (threats, row 6). A peer without a certificate that counts is 'certificate-refused'.
 */
export async function openStream(options: OpenStreamOptions): Promise<OpenedStream> {
  options.signal?.throwIfAborted();
  const url = new URL(options.url);
  const { tls = null } = options;
  if ((url.protocol === 'https:') !== (tls !== null)) throw refusedScheme(url, tls);
  const over = new AbortController();
  const { origin, pathname } = url;
  const where = { url: `${origin}${pathname}` };
  const late = `${where.url} did not take the stream within ${options.deadlineMs} ms.`;
  const timer = (options.clock ?? systemClock).after(options.deadlineMs, () =>
    over.abort(new VmferryError('peer-unreachable', late, { data: where })),
  );
  const aborted = () => over.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', aborted, { once: true });
  try {
    const addresses = await unlessOver(over.signal, addressesOf(url.hostname, options.lookup ?? systemLookup));
    return await upgraded({ url, where, addresses, options, over: over.signal });
  } finally {
    timer.cancel();
    options.signal?.removeEventListener('abort', aborted);
  }
}

interface Attempt {
  readonly url: URL;
  readonly where: { readonly url: string };
  readonly addresses: readonly LookupAddress[];
  readonly options: OpenStreamOptions;
  readonly over: AbortSignal;
}

function upgraded({ url, where, addresses, options, over }: Attempt): Promise<OpenedStream> {
  const { tls = null } = options;
  return new Promise((resolve, reject) => {
    const settings: http.RequestOptions = {
      headers: upgradeHeaders(options),
      maxHeaderSize: 16_384,
      signal: over,
      createConnection: (asked) => dial({ ...asked, ...(tls === null ? {} : tlsOf(url, tls)) }, addresses, options),
    };
    const request = tls === null ? http.request(url, settings) : https.request(url, settings);
    const fail = (error: Error) => {
      reject(error);
      request.destroy();
    };
    request.once('upgrade', (response, socket, head) => {
      takeHandle(socket);
      if (response.headers.upgrade?.toLowerCase() === streamProtocol) return resolve({ socket, head });
      socket.destroy();
      reject(nonsense(url, `it switched to "${response.headers.upgrade ?? 'nothing'}", not ${streamProtocol}`));
    });
    request.once('response', (response) => {
      readProblem(url, response).then(fail, fail);
    });
    request.on('error', (cause) => reject(over.aborted ? reasonOf(over) : failureOf(cause, where)));
    request.end();
  });
}

const anyAddress: Readonly<Record<number, string>> = { 4: '0.0.0.0', 6: '::' };

/** Node makes the descriptor of a socket as late as it can: before `connect` there is one only when the socket is bound, if to any address. */
function dial(asked: object, addresses: readonly LookupAddress[], { tls, beforeConnect }: OpenStreamOptions): Socket {
  const [first, ...others] = addresses;
  const known: LookupFunction = (_name, { all }, answer) => {
    // Not at once, or the attempt would be made before anyone listens for it.
    process.nextTick(() => (all === true ? answer(null, [...addresses]) : answer(null, first?.address ?? '', first?.family)));
  };
  const bound = beforeConnect !== undefined && others.length === 0 ? anyAddress[first?.family ?? 0] : undefined;
  const to = { ...asked, lookup: known, ...(bound === undefined ? {} : { localAddress: bound }) } as net.TcpNetConnectOpts;
  const socket = (tls ?? null) === null ? net.connect(to) : connectTls(to);
  if (bound !== undefined) socket.on('connectionAttempt', () => tellDescriptor(socket, beforeConnect));
  return socket;
}

/** What is thrown here fails the attempt, once Node has made it: an event has no caller that could catch it. */
function tellDescriptor(socket: Socket, beforeConnect: OpenStreamOptions['beforeConnect']): void {
  try {
    beforeConnect?.(descriptorOf(socket));
  } catch (thrown) {
    process.nextTick(() => socket.destroy(thrown instanceof Error ? thrown : new Error(String(thrown))));
  }
}

function tlsOf({ hostname }: URL, tls: TlsPem): object {
  const name = isIP(bare(hostname)) === 0 ? { servername: hostname } : {};
  return { ...tlsSettings(tls), checkServerIdentity: checkRelay, ...name };
}

/** Before a byte is sent, and so before the ticket is: the certificate has to be of this host, and of a relay. */
function checkRelay(host: string, certificate: PeerCertificate): Error | undefined {
  const fault = checkServerIdentity(host, certificate);
  if (fault !== undefined) return fault;
  if (rolesOf({ subjectAltName: certificate.subjectaltname ?? '' }).has('relay')) return undefined;
  return refused(`${host} shows one that is not of a relay`);
}

function refusedScheme(url: URL, tls: TlsPem | null): VmferryError {
  const [wanted, why] = tls === null ? ['http', 'without a certificate'] : ['https', 'with a certificate'];
  const detail = `A stream is opened over ${wanted} ${why}, not over ${url.protocol.slice(0, -1)}: ${url.host}.`;
  return new VmferryError('invalid-argument', detail);
}

/** Once, so that what was checked is what is connected to (threats, row 6). Throws `invalid-argument`, or what the lookup throws as `peer-unreachable`. */
async function addressesOf(hostname: string, lookup: typeof systemLookup): Promise<readonly LookupAddress[]> {
  const host = bare(hostname);
  const family = isIP(host);
  if (family !== 0) {
    if (isRefusedAddress(host)) throw refusedAddress(hostname);
    return [{ address: host, family }];
  }
  try {
    return await addressesOfName(host, lookup);
  } catch (cause) {
    if (VmferryError.is(cause, 'invalid-argument')) throw cause;
    const detail = `${host} cannot be looked up: ${(cause as Error).message}.`; // A lookup says nothing else.
    throw new VmferryError('peer-unreachable', detail, { cause, data: { host } });
  }
}

function upgradeHeaders({ ticket, migrationId, channel }: OpenStreamOptions): http.OutgoingHttpHeaders {
  return {
    connection: 'Upgrade',
    upgrade: streamProtocol,
    [ticketHeader]: ticket,
    [migrationHeader]: migrationId,
    ...(channel === undefined ? {} : { [channelHeader]: String(channel) }),
  };
}

/** Whoever aborts says why with an error; so does a deadline. */
const reasonOf = (over: AbortSignal) => over.reason as Error;

function unlessOver<T>(over: AbortSignal, waited: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    over.addEventListener('abort', () => reject(reasonOf(over)), { once: true });
    waited.then(resolve, reject);
  });
}

function failureOf(cause: Error, where: { readonly url: string }): VmferryError {
  if (VmferryError.is(cause, 'certificate-refused')) return cause;
  const fault = certificateFault(cause);
  if (fault !== null) return refused(`${where.url}: ${fault}`);
  return new VmferryError('peer-unreachable', `${where.url} does not answer: ${cause.message}`, { cause, data: where });
}

async function readProblem(url: URL, response: http.IncomingMessage): Promise<VmferryError> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > problemBytesMax) break;
  }
  try {
    const problem: unknown = JSON.parse(text);
    if (typeof problem === 'object' && problem !== null && 'code' in problem) return fromProblem(problem);
  } catch {
    // What is no JSON falls through to the same error as JSON that is no problem.
  }
  return nonsense(url, `status ${response.statusCode} without a problem document`);
}

function nonsense(url: URL, what: string): VmferryError {
  const where = `${url.origin}${url.pathname}`;
  return new VmferryError('peer-nonsense', `${where} was asked for a stream: ${what}.`, { data: { url: where } });
}
