import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { type TlsFiles, TlsIdentity } from './identity.js';
import { TestAuthority } from './testing/index.js';

const authority = new TestAuthority();
afterAll(() => authority.remove());

function setup() {
  const own: TlsFiles = { cert: join(authority.folder, 'own.pem'), key: join(authority.folder, 'own.key'), ca: authority.ca };
  const place = (files: TlsFiles, parts: readonly ('cert' | 'key')[] = ['cert', 'key']) => {
    for (const part of parts) copyFileSync(files[part], own[part]);
    return readFileSync(files.cert, 'utf8');
  };
  const told: string[] = [];
  const first = place(authority.issue(['relay']));
  const identity = new TlsIdentity(own, { replaced: () => told.push('replaced'), refused: ({ code }) => told.push(code) });
  return { own, place, told, first, identity };
}

describe('the certificate of an app', () => {
  it('is what is on disk when it is asked for', () => {
    const { identity, place, told, first } = setup();
    const { pem } = identity;
    expect(identity.pem).toBe(pem);
    expect([pem.cert, told]).toEqual([first, []]);
    const second = place(authority.issue(['relay']));
    expect([identity.pem.cert, told]).toEqual([second, ['replaced']]);
  });

  it('stays until the new one fits its key, and each fault is told once', () => {
    const { identity, place, told, first } = setup();
    const next = authority.issue(['relay']);
    place(next, ['cert']);
    expect([identity.pem.cert, identity.pem.cert, told]).toEqual([first, first, ['invalid-argument']]);
    const second = place(next, ['key']);
    expect([identity.pem.cert, told]).toEqual([second, ['invalid-argument', 'replaced']]);
  });

  it('stays while a file is gone or is something else', () => {
    const { identity, own, told, first } = setup();
    rmSync(own.key);
    expect(identity.pem.cert).toBe(first);
    writeFileSync(own.cert, 'nonsense');
    expect([identity.pem.cert, told]).toEqual([first, ['invalid-argument', 'invalid-argument']]);
  });

  it.each<[string, (own: TlsFiles) => void]>([
    ['an empty certificate', ({ cert }) => writeFileSync(cert, '')],
    ['an empty key', ({ key }) => writeFileSync(key, '')],
    ['half a certificate', ({ cert }) => truncateSync(cert, 300)],
    [
      'a certificate that is over',
      ({ cert, key }) => {
        const over = authority.issue(['relay'], { days: -1 });
        copyFileSync(over.cert, cert);
        copyFileSync(over.key, key);
      },
    ],
    [
      'a FIFO, which is not waited for',
      ({ key }) => {
        rmSync(key);
        execFileSync('mkfifo', [key]);
      },
    ],
  ])('stays when there is %s in its place', (_what, spoil) => {
    const { identity, own, told, first } = setup();
    onTestFinished(() => rmSync(own.key));
    spoil(own);
    expect([identity.pem.cert, told]).toEqual([first, ['invalid-argument']]);
  });

  it('a CA that was cut off is no CA', () => {
    const { own } = setup();
    const ca = join(authority.folder, 'cut.pem');
    writeFileSync(ca, readFileSync(own.ca, 'utf8').slice(0, 300));
    expect(() => new TlsIdentity({ ...own, ca })).toThrow(/cannot be used/);
  });

  it('has to be usable at the start', () => {
    const { own } = setup();
    const listener = { replaced: () => undefined, refused: () => undefined };
    expect(() => new TlsIdentity({ ...own, key: authority.issue(['relay']).key }, listener)).toThrow(
      /the key is not that of the certificate/,
    );
    expect(() => new TlsIdentity({ ...own, ca: own.key }, listener)).toThrow(/no certificate in/);
    expect(() => new TlsIdentity({ ...own, cert: join(authority.folder, 'none') }, listener)).toThrow(/ENOENT/);
  });
});
