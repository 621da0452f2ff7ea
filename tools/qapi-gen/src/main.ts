import { askEmulator, readSubset, writeGenerated, writeSubset } from './files.js';
import { generate } from './generate.js';
import { reduceSchema } from './reduce.js';

const [verb, emulator = 'qemu-system-x86_64'] = process.argv.slice(2);
if (verb === 'refresh') {
  const { entries, qemu } = askEmulator(emulator);
  writeSubset(reduceSchema(entries, qemu));
} else if (verb !== 'generate') {
  process.stderr.write('usage: qapi-gen refresh [EMULATOR] | qapi-gen generate\n');
  process.exit(2);
}
const modules = generate(readSubset());
writeGenerated('commands.ts', modules['commands.ts']);
writeGenerated('events.ts', modules['events.ts']);
