// How the set-up talks: one line for each thing it does, and an end with a reason instead of a stack.

/** One line about what goes on, on stderr: stdout belongs to what was asked for. */
export function say(text) {
  process.stderr.write(`vmferry: ${text}\n`);
}

/** Ends the process: what is wrong, and what to do. */
export function stop(text, code = 1) {
  process.stderr.write(`vmferry: ${text}\n`);
  process.exit(code);
}
