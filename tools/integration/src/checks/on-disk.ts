import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '@vmferry/lab';
import type { World } from '../world/world.js';

/** The parts of both documents that the checks look at; each side has its own. */
interface Kept {
  readonly domain: { readonly xml: string };
  readonly machine: { readonly stage: string; readonly permit: string };
  readonly begin: { readonly cookie: string; readonly xml: string };
  readonly record: { readonly decision: string; readonly lease: string | null };
  readonly prepareAnswer: { readonly cookie: string };
}

/** The configuration of the guest on a host, as it is on disk and without the document around it; null when there is none. */
export async function configurationOn(world: World, host: Host): Promise<string | null> {
  const folder = join(host.stateDir, 'domains');
  const name = `${world.uuid}.xml`;
  if (!(await readdir(folder)).includes(name)) return null;
  const document = await readFile(join(folder, name), 'utf8');
  const [, inner = ''] = /^<domainconfig version='1'>\n([\s\S]*)<\/domainconfig>\n$/.exec(document) ?? [];
  return inner.replace(/^ {2}/gm, '');
}

/** What a host keeps on disk of one migration: the source's journal, or the destination's with its outcome record. */
export async function keptOf(host: Host, id: string, side: 'incoming' | 'outgoing'): Promise<Kept> {
  const folder = join(host.stateDir, 'migrations');
  const name = (await readdir(folder)).find((file) => file.startsWith(`${id}.`) && file.endsWith(`.${side}.json`));
  if (name === undefined) throw new Error(`${host.name} keeps nothing of the ${side} migration ${id}`);
  return (JSON.parse(await readFile(join(folder, name), 'utf8')) as { document: Kept }).document;
}
