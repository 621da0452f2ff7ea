import type { NetworkBackend } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';

/** What the networks that definitions name are on this host. */
export type HostNetworks = ReadonlyMap<string, NetworkBackend>;

const networksMax = 256;
const modes = ['bridge', 'private', 'vepa', 'passthrough'] as const;
const pattern = /^([^=\p{Cc}]{1,255})=(?:bridge:([\w.-]{1,15})|direct:([\w.-]{1,15})(?::(\w+))?)$/u;

/** Reads `NAME=bridge:BRIDGE` and `NAME=direct:DEVICE[:MODE]`, MODE as in `<source mode>`; without one it is `bridge`. Throws `invalid-argument`. */
export function parseNetworks(texts: readonly string[]): HostNetworks {
  if (texts.length > networksMax) throw refused(`there are ${texts.length}, and at most ${networksMax} are taken`);
  const networks = new Map<string, NetworkBackend>();
  for (const text of texts) {
    const [, name, bridge, directDev, word = 'bridge'] = pattern.exec(text) ?? [];
    const directMode = modes.find((mode) => mode === word);
    if (name === undefined || directMode === undefined)
      throw refused(`"${text.slice(0, 300)}" is neither NAME=bridge:BRIDGE nor NAME=direct:DEVICE[:${modes.join('|')}]`);
    if (networks.has(name)) throw refused(`the network ${name} is given twice`);
    networks.set(
      name,
      bridge === undefined ? { type: 'direct', directDev: directDev ?? '', directMode } : { type: 'bridge', bridge },
    );
  }
  return networks;
}

function refused(why: string): VmferryError {
  return new VmferryError('invalid-argument', `--network: ${why}.`);
}
