import { stripVTControlCharacters } from 'node:util';
import { printable } from './printable.js';
import { fitted } from './progress-line.js';

/** Where text goes: stdout or stderr of the process, or a test's buffer. */
export interface Output {
  readonly isTerminal: boolean;
  /** The width of the terminal, in characters; it may change. */
  readonly columns: number;
  write(text: string): void;
}

/** A line at the bottom of a terminal that is redrawn in place; other lines are printed above it. */
export class LiveLine {
  readonly #output: Output;
  #line = '';

  constructor(output: Output) {
    this.#output = output;
  }

  show(line: string): void {
    this.#line = fitted(stripVTControlCharacters(printable(line)), this.#output.columns);
    this.#output.write(`\r\u001b[2K${this.#line}`);
  }

  above(text: string): void {
    this.#output.write(`\r\u001b[2K${text}${this.#line}`);
  }

  clear(): void {
    if (this.#line !== '') this.#output.write('\r\u001b[2K');
    this.#line = '';
  }
}
