import { setFlagsFromString } from 'node:v8';

// An app takes each of its ways once in a migration, too seldom for V8 to leave its interpreter by itself. Compiled at the first call
// by the baseline compiler, the median cycle of a direct migration was 172 to 260 ms in three runs of `pnpm bench`, 281 ms before. To be
// imported before everything else.
setFlagsFromString('--always-sparkplug');
