import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { VmferryError } from '@vmferry/errors';
import axios, { type AxiosInstance } from 'axios';

/** Where the etcd is and what this host shows it. Over `https:` both sides show a certificate (threats, row 18). */
export interface EtcdOptions {
  /** The client URLs of its members, 1 to 16; the next one is asked when one does not answer. */
  readonly endpoints: readonly string[];
  /** What the keys begin with, so that several sites can share an etcd and its access rights can be given by prefix. */
  readonly prefix: string;
  /** Asked at each request, so that a certificate is renewed without a restart: PEM text, the same object while it is the same. */
  readonly tls: { readonly pem: { readonly cert: string; readonly key: string; readonly ca: string } } | null;
}

/** A key as it is kept. `revision` is 0 for one that does not exist. */
export interface Kept {
  readonly text: string | null;
  readonly revision: string;
}

export const noKey: Kept = { text: null, revision: '0' };

/** What a key is to become, if it still is what was read. */
export interface Change {
  readonly key: string;
  readonly seen: Kept;
  /** Null: it is to stay as it was seen. */
  readonly text: string | null;
}

/** A member answers in a millisecond or waits for its quorum: with three members an election takes one to two seconds. */
const answerMsMax = 3_000;
const bodyBytesMax = 1_048_576;

/** No member has said what became of a request: it may have been carried out. */
export class NoAnswer extends Error {}

/**
 * The keys of an etcd by its JSON gateway (v3, etcd 3.4 and later). A read is linearizable: a member that is cut off from the others does not answer it.
 * Keys have no time to live (locking, driver 3): a lease does not end because nobody renews it.
 */
export class EtcdStore {
  readonly #members: readonly AxiosInstance[];
  readonly #prefix: string;
  readonly #tls: EtcdOptions['tls'];
  #shown: { readonly pem: object; readonly agent: HttpsAgent } | null = null;
  /** The member that answered last. */
  #asked = 0;

  constructor({ endpoints, prefix, tls }: EtcdOptions) {
    // A lease changes a few times in the life of a guest: no connection is kept for it.
    const httpAgent = new HttpAgent();
    const limits = { timeout: answerMsMax, maxContentLength: bodyBytesMax, maxRedirects: 0 };
    this.#prefix = prefix;
    this.#tls = tls;
    this.#members = endpoints.map((baseURL) => axios.create({ baseURL, httpAgent, proxy: false, ...limits }));
  }

  /** All keys at one moment, in their order. Throws `lease-unavailable`. */
  async read(keys: readonly string[]): Promise<Kept[]> {
    if (keys.length === 0) return [];
    const success = keys.map((key) => ({ request_range: { key: this.#encoded(key) } }));
    const answer = await this.#ask({ success }).catch((thrown: unknown) => {
      throw unavailable(thrown);
    });
    return keys.map((_, index) => keptIn(answer.responses?.[index]));
  }

  /** Makes all changes or none; false when a key is no longer what was seen. Throws `NoAnswer` when it may have been made all the same. */
  async exchange(changes: readonly Change[]): Promise<boolean> {
    const compare = changes.map(({ key, seen }) => ({
      key: this.#encoded(key),
      target: 'MOD',
      result: 'EQUAL',
      mod_revision: seen.revision,
    }));
    const success = changes.flatMap(({ key, text }) =>
      text === null ? [] : [{ request_put: { key: this.#encoded(key), value: encoded(text) } }],
    );
    return (await this.#ask({ compare, success })).succeeded === true;
  }

  /** Asks each member once. A request that one of them did not answer may be carried out by it later, also when the next one answers: what it compares decides. */
  async #ask(transaction: object): Promise<TxnAnswer> {
    const secure = this.#secure();
    let first: unknown;
    for (let tried = 0; tried < this.#members.length; tried += 1) {
      const index = (this.#asked + tried) % this.#members.length;
      try {
        const { data } = (await this.#members[index]?.post<TxnAnswer>('/v3/kv/txn', transaction, secure)) ?? { data: {} };
        this.#asked = index;
        return data;
      } catch (thrown) {
        first ??= thrown;
      }
    }
    throw new NoAnswer(axios.isAxiosError(first) ? reasonOf(first) : String(first), { cause: first });
  }

  /** A session that was made with a certificate goes on with it: a new one gets sessions of its own. */
  #secure(): { readonly httpsAgent?: HttpsAgent } {
    if (this.#tls === null) return {};
    const { pem } = this.#tls;
    if (this.#shown?.pem !== pem) this.#shown = { pem, agent: new HttpsAgent({ ...pem }) };
    return { httpsAgent: this.#shown.agent };
  }

  #encoded(key: string): string {
    return encoded(`${this.#prefix}${key}`);
  }
}

export function unavailable(thrown: unknown): VmferryError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new VmferryError(
    'lease-unavailable',
    `No member of the etcd of the leases answers (${reason}). Guests that run go on; none is started until it does.`,
    { cause: thrown },
  );
}

/** What is read of an answer to a transaction; the gateway leaves out what is false, empty or 0. */
interface TxnAnswer {
  readonly succeeded?: boolean;
  readonly responses?: readonly {
    readonly response_range?: { readonly kvs?: readonly { readonly value?: string; readonly mod_revision?: string }[] };
  }[];
}

function keptIn(response: NonNullable<TxnAnswer['responses']>[number] | undefined): Kept {
  const kept = response?.response_range?.kvs?.[0];
  if (kept === undefined) return noKey;
  return { text: Buffer.from(kept.value ?? '', 'base64').toString('utf8'), revision: kept.mod_revision ?? '0' };
}

function encoded(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function reasonOf({
  message,
  response,
  config,
}: {
  message: string;
  response?: { data: unknown };
  config?: { baseURL?: string };
}): string {
  const said = response?.data;
  const error = typeof said === 'object' && said !== null && 'error' in said ? String(said.error).slice(0, 256) : message;
  return `${config?.baseURL ?? 'a member'}: ${error}`;
}
