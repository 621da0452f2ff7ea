import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { isLoopback, loadAuthenticator } from './authentication.js';
import { type SpecService, specService } from './spec-service.js';

const folder = mkdtempSync(join(tmpdir(), 'vmferry-auth-'));
const file = join(folder, 'tokens.json');
const digest = (token: string) => createHash('sha256').update(token).digest('hex');
writeFileSync(
  file,
  JSON.stringify({
    tokens: [
      { name: 'reader', sha256: digest('read-me'), permissions: ['read'] },
      { name: 'operator', sha256: digest('run-me'), permissions: ['read', 'operate'] },
    ],
  }),
);
const running: SpecService[] = [];
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  for (const service of running.splice(0)) await service.drain();
});

async function listening(credentials?: string): Promise<string> {
  const service = specService({ authenticator: loadAuthenticator(credentials) });
  running.push(service);
  return (await service.listen({ host: '127.0.0.1', port: 0 })).url;
}

describe('bearer tokens', () => {
  const thing = { name: 'a' };

  it('401 without, 401 with a wrong one, 403 with too few permissions, 201 with the right one', async () => {
    const url = await listening(file);
    const none = await request(url).post('/v1/things').send(thing);
    expect([none.status, none.body.code, none.headers['www-authenticate']]).toEqual([401, 'unauthenticated', 'Bearer']);
    expect((await request(url).post('/v1/things').auth('guess', { type: 'bearer' }).send(thing)).status).toBe(401);
    const few = await request(url).post('/v1/things').auth('read-me', { type: 'bearer' }).send(thing);
    expect([few.status, few.body.code]).toEqual([403, 'forbidden']);
    expect((await request(url).post('/v1/things').auth('run-me', { type: 'bearer' }).send(thing)).status).toBe(201);
  });

  it('come before the body is parsed, and public routes ask for none', async () => {
    const url = await listening(file);
    const res = await request(url).post('/v1/things').type('application/json').send('{bad');
    expect(res.status).toBe(401);
    expect((await request(url).get('/healthz')).status).toBe(200);
    expect((await request(url).get('/metrics')).status).toBe(401);
  });

  it('a credentials file with a fault stops the start', () => {
    const bad = join(folder, 'bad.json');
    writeFileSync(bad, JSON.stringify({ tokens: [{ name: 'x', sha256: 'short', permissions: ['all'] }] }));
    expect(() => loadAuthenticator(bad)).toThrow(/credentials file/);
    expect(() => loadAuthenticator(join(folder, 'absent.json'))).toThrow(/cannot be read/);
  });
});

describe('without credentials', () => {
  it('the service listens on loopback only', async () => {
    const service = specService();
    await expect(service.listen({ host: '0.0.0.0', port: 0 })).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost', '0.0.0.0', '127.example.org', '::'].map(isLoopback)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('a page of another site and a rebound name are refused', async () => {
    const url = await listening();
    expect((await request(url).post('/v1/step').set('origin', 'http://evil.example')).status).toBe(403);
    expect((await request(url).post('/v1/step').set('host', 'evil.example')).status).toBe(403);
    expect((await request(url).post('/v1/step').set('origin', url)).status).toBe(200);
  });
});
