/**
 * How the memory in an image is compressed, by libvirt's numbers (libvirt-protocol, A10): never renumbered. zstd is of libvirt 10.10 and later; an older one
 * says that it does not know the number.
 */
const numbers = { raw: 0, gzip: 1, bzip2: 2, xz: 3, lzop: 4, zstd: 5 } as const;

export type SaveFormat = keyof typeof numbers;

export const saveFormats = Object.keys(numbers) as readonly SaveFormat[];

export function numberOf(format: SaveFormat): number {
  return numbers[format];
}

/** Null for a number that is no format of ours. */
export function formatOf(number: number): SaveFormat | null {
  return saveFormats.find((format) => numbers[format] === number) ?? null;
}
