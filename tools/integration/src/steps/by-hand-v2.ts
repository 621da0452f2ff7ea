import { randomUUID } from 'node:crypto';
import type { PrepareReply } from '@vmferry/api';
import { systemRandom } from '@vmferry/seams';
import { expect } from 'vitest';
import type { Run } from '../world/run.js';
import type { World } from '../world/world.js';
import { type Answer, ask } from './ask.js';

type Change = Readonly<Record<string, unknown>>;

/** The three steps of one migration of v2 by hand, as a tool of that protocol takes them: without sessions, and with nobody to confirm. */
export class ByHandV2 {
  readonly id = randomUUID();
  readonly nonce = systemRandom.hex(16);
  readonly run: Run;
  readonly #world: World;
  #prepared: PrepareReply = { cookie: '', uri: null };

  constructor(world: World) {
    const [from, to] = [world.here, world.there];
    this.#world = world;
    this.run = {
      id: this.id,
      mode: 'managed-direct',
      from,
      to,
      driven: Promise.resolve(null),
      cancel: () => from.sourceClient().cancelMigration(this.id),
    };
  }

  async prepared(): Promise<this> {
    const { xml } = await this.run.from.sourceClient().domainXml(this.#world.uuid);
    const answer = await this.#ask('destination', 'prepare2', { nonce: this.nonce, cookie: null, flags: ['LIVE'], xml });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    this.#prepared = answer.body as unknown as PrepareReply;
    return this;
  }

  /** Resolves when the memory is over. */
  perform(change: Change = {}): Promise<Answer> {
    const { cookie, uri } = this.#prepared;
    const body = { nonce: this.nonce, domain: this.#world.uuid, cookie, uri, flags: ['LIVE'], ...change };
    return this.#ask('source', 'perform2', body);
  }

  async performed(): Promise<this> {
    await this.prepared();
    const answer = await this.perform();
    expect([answer.status, answer.body], 'S21: v2 has no cookie out of Perform').toEqual([200, {}]);
    return this;
  }

  finish(change: Change = {}): Promise<Answer> {
    return this.#ask('destination', 'finish2', { nonce: this.nonce, flags: ['LIVE'], cancelled: false, ...change });
  }

  bind(change: Change = {}): Promise<Answer> {
    return this.#ask('destination', 'bind', { nonce: this.nonce, paused: false, ...change });
  }

  permit(change: Change = {}): Promise<Answer> {
    return this.#ask('source', 'permit', { nonce: this.nonce, ...change });
  }

  #ask(side: 'source' | 'destination', step: string, body: Change): Promise<Answer> {
    const { url } = side === 'source' ? this.run.from.source : this.run.to.destination;
    return ask(url, `/v1/migrations/${this.id}/${step}`, { body });
  }
}
