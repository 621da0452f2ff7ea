import { expect, it } from 'vitest';
import { checkTls, wantsTls } from './tls-flag.js';

it.each([
  [['LIVE'], true],
  [['LIVE', 'TLS', 'PEER2PEER'], true],
  [['TUNNELLED', 'OFFLINE'], true],
  [['TLS', 'TUNNELLED'], false],
])('TLS is of the stream from QEMU to QEMU: %j passes: %s', (flags, passes) => {
  const check = () => checkTls(flags);
  if (passes) expect(check).not.toThrow();
  else expect(check).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  expect(wantsTls(flags)).toBe(flags.includes('TLS'));
});
