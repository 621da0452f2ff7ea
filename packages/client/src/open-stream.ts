import { lookup as systemLookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { channelHeader, isRefusedAddress, migrationHeader, streamProtocol, ticketHeader } from '@vmferry/api';
import { fromProblem, VmferryError } from '@vmferry/errors';
import { takeHandle } from '@vmferry/posix';
import { type Clock, systemClock } from '@vmferry/seams';
import { certificateFault, refused, rolesOf, type TlsPem, tlsSettings } from '@vmferry/tls';
import { guarded, refusedAddress } from './guarded-lookup.js';

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
export function openStream(options: OpenStreamOptions): Promise<OpenedStream> {
  options.signal?.throwIfAborted();
  const url = new URL(options.url);
  const { tls = null } = options;
  if ((url.protocol === 'https:') !== (tls !== null)) return Promise.reject(refusedScheme(url, tls));
  if (isRefusedAddress(url.hostname.replace(/^\[|\]$/g, ''))) return Promise.reject(refusedAddress(url.hostname));
  return new Promise((resolve, reject) => {
    const settings: http.RequestOptions = {
      agent: false,
      headers: upgradeHeaders(options),
      maxHeaderSize: 16_384,
      lookup: guarded(options.lookup ?? systemLookup),
    };
    const request =
      tls === null
        ? http.request(url, settings)
        : https.request(url, { ...settings, ...tlsSettings(tls), checkServerIdentity: checkRelay });
    const end = endings(options, request, reject);
    request.once('upgrade', (response, socket, head) => {
      takeHandle(socket);
      end.done();
      if (response.headers.upgrade?.toLowerCase() === streamProtocol) resolve({ socket, head });
      else {
        socket.destroy();
        reject(nonsense(url, `it switched to "${response.headers.upgrade ?? 'nothing'}", not ${streamProtocol}`));
      }
    });
    request.once('response', (response) => {
      readProblem(url, response).then(end.fail, end.fail);
    });
    request.end();
  });
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

function upgradeHeaders({ ticket, migrationId, channel }: OpenStreamOptions): http.OutgoingHttpHeaders {
  return {
    connection: 'Upgrade',
    upgrade: streamProtocol,
    [ticketHeader]: ticket,
    [migrationHeader]: migrationId,
    ...(channel === undefined ? {} : { [channelHeader]: String(channel) }),
  };
}

/** Everything that can end the attempt early, in one place, so that each is undone with the others. */
function endings(options: OpenStreamOptions, request: http.ClientRequest, reject: (error: unknown) => void) {
  const { origin, pathname } = new URL(options.url);
  const where = { url: `${origin}${pathname}` };
  const aborted = () => fail(options.signal?.reason);
  const timer = (options.clock ?? systemClock).after(options.deadlineMs, () =>
    fail(
      new VmferryError('peer-unreachable', `${where.url} did not take the stream within ${options.deadlineMs} ms.`, {
        data: where,
      }),
    ),
  );
  const done = () => {
    timer.cancel();
    options.signal?.removeEventListener('abort', aborted);
  };
  const fail = (error: unknown) => {
    done();
    reject(error);
    request.destroy();
  };
  options.signal?.addEventListener('abort', aborted, { once: true });
  request.on('error', (cause) => fail(failureOf(cause, where)));
  return { done, fail };
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
