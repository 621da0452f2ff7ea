import { expect, it } from 'vitest';
import { domainOf } from '../spec/fixtures.js';
import { domainFacts } from './domain-text.js';

it('the labels of a guest are among its facts, that of its files where it is another', () => {
  const selinux = { model: 'selinux', doi: '0', label: 'u:r:svirt_t:s0:c1,c2', imageLabel: 'u:object_r:svirt_image_t:s0:c1,c2' };
  const dac = { model: 'dac', doi: '0', label: '+107:+109', imageLabel: '+107:+109' };
  const text = domainFacts(domainOf({ labels: [dac, selinux] }));
  expect(
    text
      .split('\n')
      .filter((line) => line.startsWith('Label'))
      .map((line) => line.replace(/\s+/g, ' ')),
  ).toEqual(['Label: +107:+109 (dac)', 'Label: u:r:svirt_t:s0:c1,c2 (selinux, files u:object_r:svirt_image_t:s0:c1,c2)']);
  expect(domainFacts(domainOf())).not.toContain('Label');
});
