import { expect, it } from 'vitest';
import { errorCodes } from './index.js';

it('PROBLEMS.md is the registry in words; renew it with `npx vitest run -u src/registry.spec.ts`', async () => {
  const rows = Object.entries(errorCodes).map(
    ([code, { status, libvirt, retryable, title }]) =>
      `| \`${code}\` | ${status} | ${libvirt} | ${retryable ? 'yes' : 'no'} | ${title} |`,
  );
  const text = [
    '# Problem types',
    '',
    'Every error of the HTTP API is a problem document (RFC 9457) whose `code` is one of these. Codes are stable. Each app serves the',
    'list at `/problems` and a page for each at `/problems/CODE`, where `type` of a problem document leads. Which route answers which',
    'code stands in its OpenAPI document (`/openapi.json`).',
    '',
    '| Code | HTTP status | libvirt | The same request may succeed later | Meaning |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ];
  await expect(text.join('\n')).toMatchFileSnapshot('../PROBLEMS.md');
});
