import { limits } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Command } from 'commander';
import { type Call, connectOption } from '../leaf.js';

/** A command below `vmferry domain`. */
export function leafOf(domain: Command, name: string, description: string): Command {
  return domain
    .command(name)
    .description(description)
    .addOption(connectOption('source-agent (default: VMFERRY_URL, else http://127.0.0.1:7801)'));
}

export const nameOf = ({ args }: Call<unknown>): string => args[0] ?? '';

export async function readXml({ context, args }: Call<unknown>): Promise<string> {
  const path = args[0] ?? '-';
  const xml = await context.readInput(path);
  if (Buffer.byteLength(xml) <= limits.domainXmlBytesMax) return xml;
  throw new VmferryError(
    'xml-too-large',
    `${path} has more than ${limits.domainXmlBytesMax} bytes, which no domain definition may have.`,
  );
}
