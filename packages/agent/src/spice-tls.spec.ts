import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ManualClock } from '@vmferry/seams';
import { qemuFolder, TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { spiceTls } from './spice-tls.js';

const authority = new TestAuthority();
const made: string[] = [];
afterAll(() => {
  authority.remove();
  for (const dir of made) rmSync(dirname(dir), { recursive: true });
});

const clock = Object.assign(new ManualClock(), { wall: () => new Date() });
const readBy = { qemuUser: null, hostName: 'here', clock };

function folder(options: Parameters<TestAuthority['issue']>[1]): string {
  const dir = qemuFolder({ ca: authority.ca, server: authority.issue(['agent'], options) });
  made.push(dir);
  return dir;
}

describe('TLS of SPICE displays', () => {
  it('there is none without a folder', () => {
    expect(spiceTls({ dir: undefined, ...readBy })).toBeNull();
  });

  it.each([
    ['/CN=one', 'CN=one'],
    ['/C=DE/O=Ships/OU=Ferries/CN=host b', 'C=DE,O=Ships,OU=Ferries,CN=host b'],
    ['/O=Ships, Ltd/CN=b', 'O=Ships\\, Ltd,CN=b'],
  ])('S45: the subject %s is read from the file, as clients compare it', async (subject, told) => {
    const dir = folder({ subject });
    expect(await spiceTls({ dir, ...readBy })?.subject()).toBe(told);
  });

  it('S45: of a certificate that was replaced the new subject is told, without a restart', async () => {
    const dir = folder({ subject: '/CN=before' });
    const tls = spiceTls({ dir, ...readBy });
    expect(await tls?.subject()).toBe('CN=before');
    cpSync(folder({ subject: '/CN=after' }), dir, { recursive: true });
    expect(await tls?.subject()).toBe('CN=after');
  });

  it('a certificate that is over is no TLS, and neither is a folder that is not there', async () => {
    await expect(spiceTls({ dir: folder({ days: -1 }), ...readBy })?.subject()).rejects.toMatchObject({
      code: 'tls-unavailable',
      message: expect.stringMatching(/SPICE displays of here .*was valid until/),
    });
    await expect(spiceTls({ dir: join(folder({}), 'none'), ...readBy })?.subject()).rejects.toMatchObject({
      code: 'tls-unavailable',
    });
  });
});
