import { VmferryError } from '@vmferry/errors';
import { attribute, child, formatXml, textOf, type XmlElement } from '@vmferry/xml';
import { checkField, checkPort, malformed } from './fields.js';
import type { CookieExpectation, CookieGraphics, CookieLockState } from './model.js';
import { onlyChild } from './only-child.js';

export function readGraphics(root: XmlElement): CookieGraphics | undefined {
  const graphics = onlyChild(root, 'graphics');
  if (graphics === undefined) return undefined;
  const type = attribute(graphics, 'type');
  if (type !== 'vnc' && type !== 'spice') throw malformed('its graphics type is missing or not known');
  const port = checkPort('graphics port', attribute(graphics, 'port'));
  const tlsPort = type === 'spice' ? checkPort('graphics tlsPort', attribute(graphics, 'tlsPort')) : -1;
  const listen = checkField('graphics listen', attribute(graphics, 'listen'));
  const cert = child(graphics, 'cert');
  if (cert === undefined || attribute(cert, 'info') !== 'subject') return { type, port, tlsPort, listen };
  return { type, port, tlsPort, listen, certSubject: checkField('graphics cert', attribute(cert, 'value')) };
}

export function readLockState(root: XmlElement, { lockDriver }: CookieExpectation): CookieLockState | undefined {
  const lockState = onlyChild(root, 'lockstate');
  const driver = lockState === undefined ? undefined : checkField('lockstate driver', attribute(lockState, 'driver'));
  if (driver !== undefined && lockDriver !== undefined && driver !== lockDriver.name) {
    const detail = `The source host uses the lock driver "${driver}", this host "${lockDriver.name}"; configure both alike.`;
    throw new VmferryError('lock-driver-mismatch', detail);
  }
  const leases = lockState === undefined ? undefined : readLeases(lockState);
  if (lockDriver?.usesState === true && leases === undefined) {
    throw malformed(`the lock driver "${lockDriver.name}" needs the lock state, and it holds none`);
  }
  if (driver === undefined) return undefined;
  return { driver, ...(leases === undefined ? {} : { leases }) };
}

/** An empty `<leases>` is none. */
function readLeases(lockState: XmlElement): string | undefined {
  const leases = onlyChild(lockState, 'leases');
  const text = leases === undefined ? '' : textOf(leases);
  return text === '' ? undefined : checkField('lockstate leases', text);
}

export function readPersistent(root: XmlElement): string | undefined {
  const domain = onlyChild(root, 'domain');
  return domain === undefined ? undefined : formatXml(domain);
}
