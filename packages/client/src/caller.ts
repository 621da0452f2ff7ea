import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import { limits, type z } from '@vmferry/api';
import { fromProblem, VmferryError } from '@vmferry/errors';
import { type Clock, sleep, systemClock } from '@vmferry/seams';
import { certificateFault, type TlsIdentity, tlsSettings } from '@vmferry/tls';
import axios, { type AxiosInstance, type AxiosResponse, isAxiosError } from 'axios';
import { Deadline } from './deadline.js';

export interface ClientOptions {
  readonly clock?: Clock;
  /** For a request that is not a step: from its start to the end of its answer. Default 30,000. */
  readonly timeoutMs?: number;
  readonly token?: string;
  /** What the caller shows an app that asks for a certificate, and the CA of that app; asked for at each new connection. */
  readonly tls?: TlsIdentity | null;
  /** Sent as X-Request-Id with every request, so that one act can be followed through all logs. */
  readonly requestId?: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface Call<S extends z.ZodType> extends CallOptions {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  readonly path: string;
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  readonly reply: S;
  /** A status that comes with such a reply too, besides 200 to 299. */
  readonly alsoStatus?: number;
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const answerBytesMax = 16 * 1_048_576;
const stepWaitSeconds = 30;
const stepPauseMs = 250;
/** Below the server's keep-alive of 5 s, so that a request is not sent into a connection that is just being closed. */
const idleSocketMs = 4_000;

/**
 * One app at one base URL. An error is always a VmferryError: what the problem document says; 'peer-unreachable' when no answer
 * came (`data.url`, `data.reason`); 'peer-nonsense' when the answer is not of the contract. An aborted signal throws its reason.
 */
export class Caller {
  readonly baseUrl: string;
  readonly #http: AxiosInstance;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(baseUrl: string, options: ClientOptions = {}) {
    this.baseUrl = baseUrl.replace(/\/+$/, '');
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#http = axios.create({
      baseURL: this.baseUrl,
      maxContentLength: answerBytesMax,
      maxBodyLength: limits.bodyBytesMax,
      maxRedirects: 0,
      proxy: false,
      decompress: false,
      httpAgent: new http.Agent(kept),
      httpsAgent: options.tls == null ? new https.Agent(kept) : new CertifiedAgent(options.tls),
      responseType: 'text',
      // The text is parsed here, where a fault in it has its own error.
      transformResponse: (text: unknown) => text,
      validateStatus: () => true,
      headers: {
        accept: 'application/json, application/problem+json',
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...(options.requestId === undefined ? {} : { 'x-request-id': options.requestId }),
      },
    });
  }

  /** One request and its checked answer. */
  async call<S extends z.ZodType>(call: Call<S>): Promise<z.output<S>> {
    return this.#checked(call, await this.#send(call));
  }

  /**
   * A step that may last long: it is asked for with `Prefer: wait`, and again as long as the answer is 202. Steps are idempotent by
   * (id, nonce, step), so asking again joins the one under way. Ends with its answer, its error, or the signal.
   */
  async step<S extends z.ZodType>(call: Omit<Call<S>, 'method' | 'timeoutMs'>): Promise<z.output<S>> {
    const asked: Call<S> = {
      ...call,
      method: 'post',
      headers: { ...call.headers, prefer: `wait=${stepWaitSeconds}` },
      timeoutMs: (stepWaitSeconds + 15) * 1_000,
    };
    for (;;) {
      const beganMs = this.#clock.monotonicMs();
      const response = await this.#send(asked);
      if (response.status !== 202) return this.#checked(asked, response);
      // A server that does not wait, as one that drains, must not be asked in a tight loop.
      const tookMs = this.#clock.monotonicMs() - beganMs;
      if (tookMs < stepPauseMs) await sleep(this.#clock, stepPauseMs - tookMs, call.signal);
    }
  }

  /** The body of a GET as it comes, for a stream of events; the timeout is for its head, or the whole of a refusal. */
  async open(path: string, headers: Readonly<Record<string, string>>, options: CallOptions): Promise<Readable> {
    const deadline = this.#deadline(path, this.#timeoutMs, options.signal);
    try {
      const response = await this.#http.request<Readable>({
        method: 'get',
        url: path,
        headers: { ...headers, accept: 'text/event-stream' },
        responseType: 'stream',
        maxContentLength: -1,
        signal: deadline.signal,
      });
      if (response.status !== 200) throw this.#refusal(path, response.status, await boundedText(response.data));
      deadline.stopClock();
      response.data.once('close', () => deadline.release());
      return response.data;
    } catch (thrown) {
      deadline.release();
      throw this.#failure(thrown, path, deadline.signal);
    }
  }

  async #send(call: Call<z.ZodType>): Promise<AxiosResponse<string>> {
    const deadline = this.#deadline(call.path, call.timeoutMs ?? this.#timeoutMs, call.signal);
    try {
      return await this.#http.request<string>({
        method: call.method,
        url: call.path,
        signal: deadline.signal,
        ...(call.body === undefined ? {} : { data: call.body }),
        ...(call.query === undefined ? {} : { params: call.query }),
        ...(call.headers === undefined ? {} : { headers: { ...call.headers } }),
      });
    } catch (thrown) {
      throw this.#failure(thrown, call.path, deadline.signal);
    } finally {
      deadline.release();
    }
  }

  #deadline(path: string, timeoutMs: number, signal: AbortSignal | undefined): Deadline {
    const url = `${this.baseUrl}${path}`;
    return new Deadline(this.#clock, timeoutMs, signal, () => {
      const detail = `${url} does not answer: no whole answer came within ${timeoutMs} ms`;
      return new VmferryError('peer-unreachable', detail, { data: { url, reason: 'ECONNABORTED' } });
    });
  }

  #failure(thrown: unknown, path: string, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (thrown instanceof VmferryError) return thrown;
    const reason = isAxiosError(thrown) ? (thrown.code ?? 'unknown') : 'unknown';
    const url = `${this.baseUrl}${path}`;
    const facts = { cause: thrown, data: { url, reason } };
    const fault = certificateFault(isAxiosError(thrown) ? (thrown.cause ?? thrown) : thrown);
    if (fault !== null)
      return new VmferryError('certificate-refused', `The certificate of ${url} is not accepted: ${fault}.`, facts);
    // What OpenSSL says of plain HTTP is a line of its source code.
    if (reason === 'EPROTO' || reason.startsWith('ERR_SSL_')) {
      return new VmferryError('peer-unreachable', `${url} does not speak TLS as https:// needs it; is it an http:// URL?`, facts);
    }
    const [detail = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n');
    return reason === 'ERR_BAD_RESPONSE' || reason.startsWith('HPE_')
      ? new VmferryError('peer-nonsense', `${url} answered what cannot be read: ${detail}`, facts)
      : new VmferryError('peer-unreachable', `${url} does not answer: ${detail}`, facts);
  }

  #checked<S extends z.ZodType>(call: Call<S>, response: AxiosResponse<string>): z.output<S> {
    const isGood = (response.status >= 200 && response.status <= 299) || response.status === call.alsoStatus;
    if (!isGood) throw this.#refusal(call.path, response.status, response.data);
    const result = call.reply.safeParse(
      response.status === 204 || response.data === '' ? undefined : this.#json(call.path, response.data),
    );
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const at = `/${issue?.path.join('/') ?? ''}`;
    throw this.#nonsense(call.path, `the answer's ${at} is not of the contract: ${issue?.message ?? 'no detail'}`);
  }

  #refusal(path: string, status: number, text: string): VmferryError {
    const problem = this.#json(path, text, status);
    if (typeof problem !== 'object' || problem === null || !('code' in problem)) {
      return this.#nonsense(path, `status ${status} without a problem document`);
    }
    return fromProblem(problem);
  }

  #json(path: string, text: string, status = 200): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw this.#nonsense(path, `status ${status} with a body that is not JSON`);
    }
  }

  #nonsense(path: string, detail: string): VmferryError {
    const url = `${this.baseUrl}${path}`;
    return new VmferryError('peer-nonsense', `${url} answered what cannot be understood: ${detail}.`, { data: { url } });
  }
}

const kept = { keepAlive: true, timeout: idleSocketMs } as const;

/**
 * Shows the certificate of its moment: no session is kept to be taken up again, and a connection on which another one was shown before is used for no further request.
 */
class CertifiedAgent extends https.Agent {
  readonly #identity: TlsIdentity;
  #shown: TlsIdentity['pem'];

  constructor(identity: TlsIdentity) {
    super({ ...kept, maxCachedSessions: 0 });
    this.#identity = identity;
    this.#shown = identity.pem;
  }

  // Node calls it for each request, and documents it only by its use; the agents that keep connections by other rules hook in here too.
  addRequest(...request: unknown[]): void {
    const { pem } = this.#identity;
    if (pem !== this.#shown) for (const idle of Object.values(this.freeSockets).flat()) idle?.destroy();
    this.#shown = pem;
    (https.Agent.prototype as unknown as { addRequest(...request: unknown[]): void }).addRequest.apply(this, request);
  }

  override createConnection(...[options, done]: Parameters<https.Agent['createConnection']>) {
    return super.createConnection({ ...options, ...tlsSettings(this.#identity.pem) }, done);
  }
}

async function boundedText(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.length > 65_536) break;
  }
  return text;
}
