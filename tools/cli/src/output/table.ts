import { printable } from './printable.js';

/** A table as virsh draws it: a header, a rule, one row a line, columns as wide as their widest cell. */
export function tableText(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = header.map((title, column) => Math.max(title.length, ...shown.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    ` ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd();
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 3, 0));
  return [line(header), rule, ...shown.map((row) => line(row))].map((text) => `${text}\n`).join('');
}

/** Facts one below the other, as `virsh dominfo` shows them; a fact of several lines is indented. */
export function factsText(facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  return facts
    .map(([name, value]) => `${`${name}:`.padEnd(width + 1)}${printable(value).replaceAll('\n', `\n${' '.repeat(width + 1)}`)}\n`)
    .join('');
}
