import {
  type CreateSession,
  type LifecycleEventDocument,
  type SessionResource,
  sessionResource,
  type VersionReply,
  versionReply,
  z,
} from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { Caller, type CallOptions, type ClientOptions } from './caller.js';
import { type LifecycleOptions, lifecycleEvents } from './lifecycle-events.js';

/** The answer of a route that has none (204), or one that the caller has no use for. */
export const nothing = z.unknown().transform(() => undefined);

export const segment = (text: string): string => encodeURIComponent(text);

/** What all three apps answer. */
export class AppClient {
  protected readonly caller: Caller;

  constructor(baseUrl: string, options: ClientOptions = {}) {
    this.caller = new Caller(baseUrl, options);
  }

  get baseUrl(): string {
    return this.caller.baseUrl;
  }

  /** Every app says it to everybody: who refuses is none of ours, which is 'peer-nonsense', or about to end. */
  async version(options: CallOptions = {}): Promise<VersionReply> {
    try {
      return await this.caller.call({ method: 'get', path: '/version', reply: versionReply, ...options });
    } catch (thrown) {
      if (!(thrown instanceof VmferryError) || thrown.code.startsWith('peer-') || options.signal?.aborted === true) throw thrown;
      const detail = `${this.baseUrl} does not say what it is: ${thrown.message} (${thrown.code})`;
      const code = thrown.row.retryable ? 'peer-unreachable' : 'peer-nonsense';
      throw new VmferryError(code, detail, { cause: thrown, data: { url: this.baseUrl } });
    }
  }
}

/** What both agents answer. */
export class AgentClient extends AppClient {
  /** The lifecycle events of this agent's domains, as they happen or behind `afterId`; comes back by itself behind the last that was read. */
  events(options: LifecycleOptions = {}): AsyncGenerator<LifecycleEventDocument, void, undefined> {
    return lifecycleEvents(this.caller, options);
  }

  createSession(body: CreateSession = {}, options: CallOptions = {}): Promise<SessionResource> {
    return this.caller.call({ method: 'post', path: '/v1/sessions', body, reply: sessionResource, ...options });
  }

  renewSession(id: string, options: CallOptions = {}): Promise<SessionResource> {
    return this.caller.call({ method: 'post', path: `/v1/sessions/${segment(id)}/renew`, reply: sessionResource, ...options });
  }

  endSession(id: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: `/v1/sessions/${segment(id)}`, reply: nothing, ...options });
  }
}
