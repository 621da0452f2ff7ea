import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BeginReply, MigrationResource, PerformReply, PrepareReply } from '@vmferry/api';
import { systemRandom } from '@vmferry/seams';
import { expect } from 'vitest';
import { eventually } from '../world/eventually.js';
import type { World } from '../world/world.js';
import { type Answer, ask } from './ask.js';

type Change = Readonly<Record<string, unknown>>;

/** The five steps of one migration by hand, each as it should be but for what a case changes in its body. */
export class ByHand {
  readonly world: World;
  readonly id = randomUUID();
  begun: BeginReply = { nonce: systemRandom.hex(16), cookie: '', xml: '', flags: [], domain: { uuid: '', name: '' } };
  prepared: PrepareReply = { cookie: '', uri: null };
  performed: PerformReply = { cookie: '' };

  constructor(world: World) {
    this.world = world;
  }

  get source(): string {
    return this.world.here.source.url;
  }

  get destination(): string {
    return this.world.there.destination.url;
  }

  begin(change: Change = {}): Promise<Answer> {
    return this.#step(this.source, 'begin', { domain: this.world.name, flags: ['LIVE'], ...change });
  }

  prepare(change: Change = {}, step?: 'prepare' | 'prepare-tunnel'): Promise<Answer> {
    const { nonce, cookie, xml, flags } = this.begun;
    step ??= flags.includes('TUNNELLED') ? 'prepare-tunnel' : 'prepare';
    return this.#step(this.destination, step, { nonce, cookie, xml, flags, ...change });
  }

  perform(change: Change = {}): Promise<Answer> {
    return this.#step(this.source, 'perform', {
      nonce: this.begun.nonce,
      cookie: this.prepared.cookie,
      flags: this.begun.flags,
      ...change,
    });
  }

  finish(change: Change = {}): Promise<Answer> {
    return this.#step(this.destination, 'finish', {
      nonce: this.begun.nonce,
      cookie: this.performed.cookie,
      cancelled: false,
      ...change,
    });
  }

  confirm(change: Change = {}): Promise<Answer> {
    return this.#step(this.source, 'confirm', { nonce: this.begun.nonce, cookie: '', cancelled: false, ...change });
  }

  cancel(): Promise<Answer> {
    return ask(this.source, `/v1/migrations/${this.id}/cancel`, { body: {} });
  }

  /** Takes the steps up to this one; each must succeed. */
  async upTo(last: 'begin' | 'prepare' | 'perform' | 'finish', change: Change = {}): Promise<this> {
    this.begun = good<BeginReply>(await this.begin(change));
    if (last === 'begin') return this;
    this.prepared = good<PrepareReply>(await this.prepare());
    if (last === 'prepare') return this;
    this.performed = good<PerformReply>(await this.perform());
    if (last === 'perform') return this;
    good(await this.finish());
    return this;
  }

  /** Lets the guest stay where it is, whatever was begun, and proves that it is let go of. */
  async giveUp(): Promise<void> {
    await this.finish({ cookie: '', cancelled: true });
    await this.confirm({ cancelled: true });
    const { body } = await ask(this.source, `/v1/domains/${this.world.uuid}`, { method: 'GET' });
    expect([body.state, body.job, body.migrationId]).toEqual(['running', null, null]);
    await this.#untilTidied();
  }

  /**
   * The destination answers Finish as soon as its record is decided, and tidies up afterwards; a source that knows where the record is
   * tells there that it has acted on it, and lets nobody wait for that.
   */
  async #untilTidied(): Promise<void> {
    const { body } = await ask(this.source, `/v1/migrations/${this.id}`, { method: 'GET' });
    const isKnown = (body as Partial<MigrationResource>).destination?.agent != null;
    const record = join(this.world.there.stateDir, 'migrations', `${this.id}.${this.begun.nonce}.incoming.json`);
    const document = { concluded: true, ...(isKnown ? { acknowledged: true } : {}) };
    await eventually(async () => expect(JSON.parse(await readFile(record, 'utf8'))).toMatchObject({ document }));
  }

  #step(base: string, step: string, body: Change): Promise<Answer> {
    return ask(base, `/v1/migrations/${this.id}/${step}`, { body });
  }
}

function good<T>({ status, body }: Answer): T {
  expect(status, JSON.stringify(body)).toBe(200);
  return body as T;
}

/** The cookie with its text changed; the terminating NUL stays. */
export function changedCookie(cookie: string, change: (text: string) => string): string {
  const text = Buffer.from(cookie, 'base64').toString('utf8').replace(/\0$/, '');
  return Buffer.from(`${change(text)}\0`).toString('base64');
}
