/** One word of QEMU's command line that is not JSON: `first,key=value,...`. A comma in a value is written twice (threats, row 2). */
export function keyValues(first: string, pairs: Readonly<Record<string, string | number | boolean | undefined>> = {}): string {
  const words = Object.entries(pairs).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${valueText(value)}`]));
  return [first, ...words].filter((word) => word !== '').join(',');
}

function valueText(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value).replaceAll(',', ',,');
}

export type JsonOption = '-blockdev' | '-device' | '-netdev' | '-object';

/** An option whose value QEMU 7.2 takes as JSON, where no character needs an escape of QEMU's own. Absent members are left out. */
export function json(option: JsonOption, value: Readonly<Record<string, unknown>>): string[] {
  return [option, JSON.stringify(value)];
}
