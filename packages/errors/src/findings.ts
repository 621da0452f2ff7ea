import { VmferryError } from './vmferry-error.js';

/** The errors of checks that do not depend on each other: whoever acts stops at the first, whoever only asks is told of all. */
export class Findings {
  readonly errors: VmferryError[] = [];

  /** What the check gives; undefined when it throws, and then its error is kept. */
  of<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (thrown) {
      this.errors.push(VmferryError.from(thrown));
      return undefined;
    }
  }

  /** The same of a check that takes its time. */
  async later<T>(check: () => Promise<T>): Promise<T | undefined> {
    try {
      return await check();
    } catch (thrown) {
      this.errors.push(VmferryError.from(thrown));
      return undefined;
    }
  }
}
