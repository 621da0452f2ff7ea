import { bandwidthMibPerSec, domainXml } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

const imagePath = z.string().max(limits.imagePathCharsMax).regex(/^\//, 'an absolute path');

/** How the memory in an image is compressed; zstd is read by libvirt 10.10 and later only. */
const saveFormat = z.enum(['raw', 'gzip', 'bzip2', 'xz', 'lzop', 'zstd']);

/** Whether the guest is to run when it is restored; as it was saved when nothing is said. */
const runState = z.enum(['running', 'paused']);

/** What a managed save takes: its file is the agent's own. */
export const managedSave = z
  .strictObject({
    format: saveFormat.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
    state: runState.optional(),
    /** The definition that the image gets; the guest may not notice a difference (A11). */
    xml: domainXml.optional(),
  })
  .openapi('ManagedSave');
export type ManagedSave = z.input<typeof managedSave>;

/** POST /v1/domains/:domain/save. Repeated with the same id and body it joins the save under way, or has its answer again. */
export const saveDomain = managedSave
  .extend({
    id: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/)
      .optional(),
    path: imagePath,
  })
  .openapi('SaveDomain');
export type SaveDomain = z.input<typeof saveDomain>;

export const savedImage = z.object({ path: z.string(), format: saveFormat, bytes: z.int() }).openapi('SavedImage');
export type SavedImage = z.infer<typeof savedImage>;

/** POST /v1/restores: a guest goes on from an image. */
export const restoreDomain = z
  .strictObject({ path: imagePath, xml: domainXml.optional(), state: runState.optional() })
  .openapi('RestoreDomain');
export type RestoreDomain = z.input<typeof restoreDomain>;

/** POST /v1/domains/:domain/dump. */
export const dumpDomain = z
  .strictObject({
    id: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/)
      .optional(),
    path: imagePath,
    /** QEMU's migration stream, or an ELF core of the memory. */
    kind: z.enum(['migration', 'elf']).default('migration'),
    /** The guest stands still meanwhile and goes on (`pause`), runs on (`live`), is ended as crashed, or reset. */
    mode: z.enum(['pause', 'live', 'crash', 'reset']).default('pause'),
    /** Of a stream; a program that the host does not have is passed over. */
    format: saveFormat.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
  })
  .refine(
    ({ kind, format, bandwidthMibPerSec: bandwidth }) =>
      kind === 'migration' || (format === undefined && bandwidth === undefined),
    'an ELF core is neither compressed nor slowed',
  )
  .openapi('DumpDomain');
export type DumpDomain = z.input<typeof dumpDomain>;

export const dumped = z
  .object({ path: z.string(), kind: z.enum(['migration', 'elf']), format: saveFormat, bytes: z.int() })
  .openapi('Dumped');
export type Dumped = z.infer<typeof dumped>;
