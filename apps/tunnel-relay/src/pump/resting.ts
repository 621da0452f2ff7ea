import type { Direction, Progress } from './direction.js';

/** How often one direction moves, at the most, before the other one is asked again. */
export const movesUnaskedMax = 16;

/**
 * A direction that had nothing to read rests while the other one moves. Each question is a call to the kernel, and between any two blocks of memory the
 * return path would answer that it has nothing. It is asked again when the other one stands still, and often enough that what it has is never late.
 */
export class RestingDirection {
  #last: Progress = 'moved';
  #unasked = 0;

  constructor(private readonly direction: Pick<Direction, 'step'>) {}

  /** `other` is what the other direction said last. */
  step(other: Progress): Progress {
    const rests = this.#last === 'readable' && other === 'moved' && this.#unasked < movesUnaskedMax;
    this.#unasked = rests ? this.#unasked + 1 : 0;
    if (!rests) this.#last = this.direction.step();
    return this.#last;
  }
}
