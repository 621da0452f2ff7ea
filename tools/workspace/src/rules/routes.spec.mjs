import { expect, it } from 'vitest';
import { repositoryFiles, textOf } from './files.mjs';

/** What a route may know beside its own app: the contract, its errors, how a definition is written, and how routes are defined. */
const allowed = /^(?:@vmferry\/(?:api|domain|errors|service)|\.{1,2}\/.*)$/;

const routes = repositoryFiles('apps').filter(
  (path) => /^apps\/(?:source|destination)-agent\/src\/routes\/[^/]+\.ts$/.test(path) && !path.endsWith('.spec.ts'),
);

it('S58: routes resolve, check and delegate: none has QEMU, a guest, a lock or a document in its hands', () => {
  expect(routes.length).toBeGreaterThan(5);
  const imports = routes.flatMap((path) => [...textOf(path).matchAll(/ from '([^']+)';$/gm)].map(([, from]) => ({ path, from })));
  expect(imports.length).toBeGreaterThan(routes.length);
  expect(imports.filter(({ from }) => !allowed.test(from))).toEqual([]);
});

it('S58: a route answers in a few statements: what takes longer to say is not its own', () => {
  const handlers = routes.flatMap((path) =>
    [...textOf(path).matchAll(/^( *)(?:async )?handler(?:: |\().*\n((?:\1 .*\n)*)/gm)].map(([, , body]) => ({
      path,
      lines: body.split('\n').length,
    })),
  );
  expect(handlers.length).toBeGreaterThan(20);
  expect(handlers.filter(({ lines }) => lines > 20)).toEqual([]);
});
