import { parseDomain, parseState } from '@vmferry/domain';
import { attribute, child, childrenOf, element, formatXml, parseXml, type XmlElement } from '@vmferry/xml';
import { checkRoot, wrappedXmlLimits } from './domain-configs.js';

/**
 * What was done to a guest around us, in libvirt's words: `custom-monitor`, commands of an administrator went to its monitor;
 * `external-launch`, something else has started it.
 */
const taints = ['custom-monitor', 'external-launch'] as const;
export type Taint = (typeof taints)[number];

/** A save names the very file that it writes, by the kernel's numbers; a guest that is being restored has not run yet. */
export type StatusFile =
  | { readonly t: 'saving'; readonly path: string; readonly dev: string; readonly ino: string; readonly wasRunning: boolean }
  | { readonly t: 'restoring'; readonly path: string };

/**
 * What a restarted agent has to know of a guest that lives (or lived) on this host. How far a migration is stands in that
 * migration's own journal, and nowhere else.
 */
export interface DomainStatus {
  readonly uuid: string;
  readonly name: string;
  /** Which of the host's two agents looks after it; changes once, by adoption. */
  readonly owner: 'source' | 'destination';
  readonly persistent: boolean;
  /** A state with one of its own reasons (S48): other pairs are refused. */
  readonly state: string;
  readonly reason: string;
  readonly process: { readonly pid: number; readonly startTimeTicks: string; readonly bootId: string };
  /** Paths of the QMP sockets, one for each agent. */
  readonly monitors: { readonly source: string; readonly destination: string };
  readonly logPath: string;
  readonly runtimeDir: string;
  readonly migration: { readonly id: string; readonly nonce: string; readonly role: 'source' | 'destination' } | null;
  /** The file that the guest is being saved to or restored from; absent or null when it is neither. */
  readonly file?: StatusFile | null;
  /** Each at most once. */
  readonly tainted: readonly Taint[];
  readonly domainXml: string;
}

/**
 * The status document; `domain` is what `domainOf` made of the status. Throws for a status that `parseStatus` would refuse, so that nothing
 * unreadable is written.
 */
export function formatStatus(status: DomainStatus, domain: XmlElement): string {
  const { state, reason } = parseState(status.state, status.reason);
  const { process, monitors, migration, tainted } = status;
  return formatXml(
    element('domstatus', { version: '1', state, reason, owner: status.owner, persistent: yesNo(status.persistent) }, [
      element('process', { pid: String(process.pid), starttime: process.startTimeTicks, boot: process.bootId }),
      element('monitor', { agent: 'source', path: monitors.source }),
      element('monitor', { agent: 'destination', path: monitors.destination }),
      element('log', { path: status.logPath }),
      element('runtime', { dir: status.runtimeDir }),
      ...(migration === null ? [] : [element('migration', { id: migration.id, nonce: migration.nonce, role: migration.role })]),
      ...(status.file ? [fileElement(status.file)] : []),
      ...tainted.map((flag) => element('taint', { flag })),
      domain,
    ]),
  );
}

/** The domain in the status, checked. Costs two readings of its XML: keep it as long as `domainXml` stays the same. */
export function domainOf({ uuid, name, domainXml }: DomainStatus): XmlElement {
  const definition = parseDomain(domainXml);
  if (definition.uuid === uuid && definition.name === name) return parseXml(domainXml);
  throw new Error(`the status is of ${name} (${uuid}), its domain is ${definition.name} (${definition.uuid})`);
}

/** Reads a status document of the domain `uuid`; throws when anything in it is missing or not right. The type of the domain is checked (S12). */
export function parseStatus(uuid: string, text: string): DomainStatus {
  const root = parseXml(text, wrappedXmlLimits);
  checkRoot(root, 'domstatus');
  const domain = only(root, 'domain');
  const process = only(root, 'process');
  const migration = child(root, 'migration');
  const definition = parseDomain(formatXml(domain));
  if (definition.uuid !== uuid) throw new Error(`it is of the domain ${definition.uuid}, not of ${uuid}`);
  return {
    uuid,
    name: definition.name,
    owner: role(root, 'owner'),
    persistent: flag(root, 'persistent'),
    ...parseState(required(root, 'state'), required(root, 'reason')),
    process: { pid: pid(process), startTimeTicks: required(process, 'starttime'), bootId: required(process, 'boot') },
    monitors: { source: monitor(root, 'source'), destination: monitor(root, 'destination') },
    logPath: required(only(root, 'log'), 'path'),
    runtimeDir: required(only(root, 'runtime'), 'dir'),
    migration:
      migration === undefined
        ? null
        : { id: required(migration, 'id'), nonce: required(migration, 'nonce'), role: role(migration, 'role') },
    ...fileOf(child(root, 'file')),
    tainted: childrenOf(root, 'taint').map((each) => taint(required(each, 'flag'))),
    domainXml: formatXml(domain),
  };
}

function fileElement(file: StatusFile): XmlElement {
  if (file.t === 'restoring') return element('file', { restoring: file.path });
  return element('file', { saving: file.path, dev: file.dev, ino: file.ino, running: yesNo(file.wasRunning) });
}

function fileOf(file: XmlElement | undefined): { readonly file?: StatusFile } {
  if (file === undefined) return {};
  const restoring = attribute(file, 'restoring');
  if (restoring !== undefined) return { file: { t: 'restoring', path: restoring } };
  const { dev, ino } = { dev: required(file, 'dev'), ino: required(file, 'ino') };
  return { file: { t: 'saving', path: required(file, 'saving'), dev, ino, wasRunning: flag(file, 'running') } };
}

function only(parent: XmlElement, name: string): XmlElement {
  const [found, ...more] = childrenOf(parent, name);
  if (found === undefined || more.length > 0) throw new Error(`it has ${found === undefined ? 'no' : 'more than one'} <${name}>`);
  return found;
}

function monitor(root: XmlElement, agent: string): string {
  const [found, ...more] = childrenOf(root, 'monitor').filter((each) => attribute(each, 'agent') === agent);
  if (found === undefined || more.length > 0) throw new Error(`it has not one <monitor> for the ${agent}-agent`);
  return required(found, 'path');
}

function required(of: XmlElement, name: string): string {
  const value = attribute(of, name);
  if (value === undefined) throw new Error(`<${of.name}> has no ${name}`);
  return value;
}

function role(of: XmlElement, name: string): 'source' | 'destination' {
  const value = required(of, name);
  if (value === 'source' || value === 'destination') return value;
  throw new Error(`the ${name} of <${of.name}> is ${JSON.stringify(value)}`);
}

function taint(flag: string): Taint {
  const known = taints.find((each) => each === flag);
  if (known !== undefined) return known;
  throw new Error(`the taint is ${JSON.stringify(flag)}`);
}

function flag(of: XmlElement, name: string): boolean {
  const value = required(of, name);
  if (value === 'yes' || value === 'no') return value === 'yes';
  throw new Error(`the ${name} of <${of.name}> is ${JSON.stringify(value)}`);
}

function pid(of: XmlElement): number {
  const value = required(of, 'pid');
  if (/^[1-9]\d{0,9}$/.test(value)) return Number(value);
  throw new Error(`the pid is ${JSON.stringify(value)}`);
}

function yesNo(flag: boolean): string {
  return flag ? 'yes' : 'no';
}
