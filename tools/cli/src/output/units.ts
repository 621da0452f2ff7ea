const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, in powers of 1,024: three significant digits or so, such as `34.2 MiB`. */
export function bytesText(bytes: number): string {
  // Rounding to one decimal happens before the unit is chosen, so that 1,023.99 KiB reads as 1.0 MiB.
  const power = units.findIndex((_, index) => Math.round((bytes / 1_024 ** index) * 10) / 10 < 1_024);
  const index = power === -1 ? units.length - 1 : power;
  const value = bytes / 1_024 ** index;
  return `${index === 0 ? String(Math.round(value)) : value.toFixed(1)} ${units[index] ?? 'B'}`;
}

export const rateText = (bytesPerSec: number): string => `${bytesText(bytesPerSec)}/s`;

/** Milliseconds for people: `14 ms`, `1.23 s`, `2 min 5 s`, `1 h 2 min`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1_000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}
