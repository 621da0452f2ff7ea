/** The demo's transcript is a shell session: what it says itself are comments, what it runs are commands. */
export function say(text: string): void {
  print(text.replaceAll(/^/gm, '# '));
}

/** The beginning of a new part. */
export function heading(text: string): void {
  print(`\n# ${text}`);
}

export function command(line: string): void {
  print(`$ ${line}`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
