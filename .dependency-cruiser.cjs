// Who may import whom. The layering is the order of the references in tsconfig.json: a room imports only rooms above it in that list.
// The workspace is built before this runs: imports of another room end in its dist/, which is not followed but must exist.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const { references } = JSON.parse(readFileSync(join(__dirname, 'tsconfig.json'), 'utf8'));
const rooms = references.map(({ path }) => path);

const layers = rooms.slice(0, -1).map((room, index) => ({
  name: `layer-${room}`,
  comment: `${room} lies below these rooms (tsconfig.json lists the rooms from the ground up)`,
  severity: 'error',
  from: { path: `^${room}/src/` },
  to: { path: `^(${rooms.slice(index + 1).join('|')})/` },
}));

const onlyIn = (room, dependency) => ({
  name: `only-${room.replace('packages/', '')}-imports-${dependency}`,
  comment: `${dependency} is used through @vmferry/${room.replace('packages/', '')}`,
  severity: 'error',
  from: { path: '^(packages|apps|tools)/', pathNot: `^${room}/src/` },
  to: { path: `(^|/)node_modules/${dependency}(/|$)` },
});

module.exports = {
  forbidden: [
    ...layers,
    {
      name: 'apps-stand-alone',
      comment: 'apps meet over HTTP and on disk',
      severity: 'error',
      from: { path: '^(apps/[^/]+)/' },
      to: { path: '^apps/', pathNot: '^$1/' },
    },
    {
      name: 'audit-knows-no-hypervisor',
      comment: 'S11: an audit is of any virtualization; whose a guest is, its domain says',
      severity: 'error',
      from: { path: '^packages/audit/src/' },
      to: { path: '^packages/', pathNot: '^packages/(audit|errors|seams|posix)/' },
    },
    onlyIn('packages/posix', 'koffi'),
    onlyIn('packages/xml', 'libxmljs2'),
    {
      name: 'everything-resolves',
      comment: 'an import that leads nowhere would pass every other rule in silence',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'front-door',
      comment: 'another room is imported by its package name',
      severity: 'error',
      from: { path: '^((packages|apps|tools)/[^/]+)/src/' },
      to: { path: '^(packages|apps|tools)/[^/]+/src/', pathNot: '^$1/' },
    },
    {
      name: 'every-room-has-a-layer',
      comment: 'add the room to the references of tsconfig.json, in its place',
      severity: 'error',
      from: { path: '^(packages|apps|tools)/[^/]+/src/.*[.]ts$', pathNot: `^(${rooms.join('|')})/` },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    tsConfig: { fileName: 'tsconfig.base.json' },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  },
};
