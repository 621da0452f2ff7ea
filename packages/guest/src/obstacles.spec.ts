import { afterAll, beforeAll, expect, it } from 'vitest';
import { obstaclesTo } from './index.js';
import { definitionOf, specHost } from './spec-host.js';

let place: Awaited<ReturnType<typeof specHost>>;
beforeAll(async () => {
  place = await specHost();
});
afterAll(() => place.close());

it('a guest that can be started has none', async () => {
  expect(await obstaclesTo(place.host, await definitionOf(place.host))).toEqual([]);
  expect(await place.leftovers()).toEqual([]);
});

it('all are told: an accelerator that is not there, and a disk that is not there', async () => {
  const definition = await definitionOf(place.host, '/nowhere/disk.img');
  const found = await obstaclesTo(place.host, { ...definition, type: 'kvm' });
  expect(found).toMatchObject([
    { code: 'hypervisor-unsupported', message: expect.stringContaining('KVM') as string },
    { code: 'label-failed', data: { path: '/nowhere/disk.img' } },
  ]);
  expect(await place.leftovers()).toEqual([]);
});
