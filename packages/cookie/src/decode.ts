import { VmferryError } from '@vmferry/errors';
import { attribute, childrenOf, defaultXmlLimits, parseXml, textOf, type XmlElement } from '@vmferry/xml';
import { readGraphics, readLockState, readPersistent } from './decode-sections.js';
import { decodeVmferry } from './decode-vmferry.js';
import { checkField, malformed } from './fields.js';
import type { CookieExpectation, CookieFeature, MigrationCookie } from './model.js';
import { onlyChild } from './only-child.js';
import { fromWire } from './wire.js';

/** The parser's own cap, apart from the 16,384 bytes of the wire (S46). */
const cookieXmlLimits = { ...defaultXmlLimits, bytesMax: 256 * 1024 };

/**
 * Reads a cookie and checks it against what is expected, in libvirt's order (libvirt-protocol, A2); the first fault ends it.
 *
 * Throws `cookie-too-large`; `cookie-malformed` (no NUL, not UTF-8, not XML, a field missing or not valid, no lock state for a
 * driver that needs it); `cookie-mismatch` (another domain, another migration); `same-host`; `cookie-feature-unsupported`;
 * `lock-driver-mismatch`.
 */
export function decodeCookie(bytes: Uint8Array, expect: CookieExpectation): MigrationCookie {
  const root = readRoot(fromWire(bytes));
  const base = readBase(root, expect);
  const features = readFeatures(root, expect);
  const graphics = readGraphics(root);
  const lockState = readLockState(root, expect);
  const persistentXml = readPersistent(root);
  const vmferry = decodeVmferry(root, expect.migration);
  return {
    ...base,
    features,
    ...(graphics === undefined ? {} : { graphics }),
    ...(lockState === undefined ? {} : { lockState }),
    ...(persistentXml === undefined ? {} : { persistentXml }),
    ...(vmferry === undefined ? {} : { vmferry }),
  };
}

/** As `decodeCookie`; no bytes are no cookie, which a step may allow. */
export function decodeOptional(bytes: Uint8Array, expect: CookieExpectation): MigrationCookie | null {
  return bytes.length === 0 ? null : decodeCookie(bytes, expect);
}

function readRoot(text: string): XmlElement {
  let root: XmlElement;
  try {
    root = parseXml(text, cookieXmlLimits);
  } catch (error) {
    const { message } = VmferryError.from(error);
    throw malformed(message.replace(/\.$/, ''), error);
  }
  if (root.name !== 'qemu-migration') throw malformed('its root is not <qemu-migration>');
  return root;
}

type Base = Pick<MigrationCookie, 'name' | 'uuid' | 'hostName' | 'hostUuid'>;

function readBase(root: XmlElement, expect: CookieExpectation): Base {
  const name = checkField('name', textOfOnly(root, 'name'));
  if (name !== expect.name) throw mismatch(`is for the domain "${name}", not for "${expect.name}"`);

  const uuid = checkField('uuid', textOfOnly(root, 'uuid')?.toLowerCase());
  if (uuid !== expect.uuid.toLowerCase()) throw mismatch(`is for the domain ${uuid}, not for ${expect.uuid}`);

  const hostName = checkField('hostName', textOfOnly(root, 'hostname'));
  // Host names have no case.
  if (hostName.toLowerCase() === expect.localHostName.toLowerCase()) throw sameHost(`name ${hostName}`);

  const hostUuid = checkField('hostUuid', textOfOnly(root, 'hostuuid')?.toLowerCase());
  if (hostUuid === expect.localHostUuid.toLowerCase()) throw sameHost(`uuid ${hostUuid}`);

  return { name, uuid, hostName, hostUuid };
}

function readFeatures(root: XmlElement, expect: CookieExpectation): CookieFeature[] {
  return childrenOf(root, 'feature').map((feature) => {
    const name = attribute(feature, 'name');
    if (name === undefined || name === '') throw malformed('a mandatory feature has no name');
    if (name === 'graphics' || (name === 'lockstate' && expect.lockDriver !== undefined)) return name;
    const detail = `The migration cookie demands the feature "${name.slice(0, 64)}", which this step does not support.`;
    throw new VmferryError('cookie-feature-unsupported', detail);
  });
}

function textOfOnly(root: XmlElement, name: string): string | undefined {
  const found = onlyChild(root, name);
  return found === undefined ? undefined : textOf(found);
}

function mismatch(what: string): VmferryError {
  return new VmferryError('cookie-mismatch', `The migration cookie ${what}.`);
}

function sameHost(what: string): VmferryError {
  const detail = `The migration cookie comes from this very host (${what}); a guest cannot be migrated to the host it runs on.`;
  return new VmferryError('same-host', detail);
}
