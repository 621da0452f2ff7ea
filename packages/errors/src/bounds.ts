/** What an error may carry, whoever made it: it stands in journals, resources and logs. */
export const errorLimits = {
  detailCharsMax: 4_096,
  /** Of the faults inside a body, and of the later errors beside the first. */
  entriesMax: 32,
  pathCharsMax: 256,
  wordCharsMax: 64,
  faultCharsMax: 512,
  /** How deep `data` of a peer's problem document may be nested. */
  dataDepthMax: 3,
  /** The same as JSON, in all. */
  dataCharsMax: 16_384,
} as const;

/** Text up to `charsMax`; of a longer one its beginning, with a mark that says how long it was. */
export function clipped(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const mark = `... [${text.length} characters]`;
  return `${text.slice(0, charsMax - mark.length)}${mark}`;
}

/** What a peer's problem document has as `data`, cut to the bounds; nothing when even that is too much. */
export function boundedData(data: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(data)) return {};
  const cut = cutEntries(data, 0);
  return JSON.stringify(cut).length > errorLimits.dataCharsMax ? {} : cut;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function cutEntries(record: Record<string, unknown>, depth: number): Record<string, unknown> {
  const entries = Object.entries(record).slice(0, errorLimits.entriesMax);
  return Object.fromEntries(entries.map(([key, item]) => [clipped(key, errorLimits.wordCharsMax), cutValue(item, depth + 1)]));
}

function cutValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return clipped(value, errorLimits.faultCharsMax);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= errorLimits.dataDepthMax) return null;
  if (Array.isArray(value)) return value.slice(0, errorLimits.entriesMax).map((item) => cutValue(item, depth + 1));
  return isRecord(value) ? cutEntries(value, depth) : null;
}
