import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '@vmferry/lab';
import type { World } from '../world/world.js';

/** The configuration of the guest on a host, as it is on disk and without the document around it; null when there is none. */
export async function configurationOn(world: World, host: Host): Promise<string | null> {
  const folder = join(host.stateDir, 'domains');
  const name = `${world.uuid}.xml`;
  if (!(await readdir(folder)).includes(name)) return null;
  const document = await readFile(join(folder, name), 'utf8');
  const [, inner = ''] = /^<domainconfig version='1'>\n([\s\S]*)<\/domainconfig>\n$/.exec(document) ?? [];
  return inner.replace(/^ {2}/gm, '');
}

/** The definition that Prepare has checked and started the guest from, as the record of the migration keeps it. */
export async function validatedOn(host: Host, id: string): Promise<string> {
  const folder = join(host.stateDir, 'migrations');
  const [name = ''] = (await readdir(folder)).filter((file) => file.startsWith(`${id}.`) && file.endsWith('.incoming.json'));
  const { document } = JSON.parse(await readFile(join(folder, name), 'utf8')) as { document: { domain: { xml: string } } };
  return document.domain.xml;
}

/** Another configuration of the same domain, which can be told from any that the product writes. */
export function earlierConfiguration(world: World): string {
  return world.xml.replace('<memory', '<description>of before</description><memory');
}
