import { VmferryError } from '@vmferry/errors';

/** A security context of SELinux, `user:role:type:level`; a policy without levels has none. */
export interface Context {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly level?: string;
}

/** Throws `label-failed` for what is none. */
export function parseContext(text: string): Context {
  const match = /^([\w.-]+):([\w.-]+):([\w.-]+)(?::([\w:.,-]+))?$/.exec(text);
  if (match === null || text.length > 255)
    throw new VmferryError('label-failed', `${JSON.stringify(text.slice(0, 255))} is no SELinux context (user:role:type:level).`);
  const [, user = '', role = '', type = '', level] = match;
  return { user, role, type, ...(level === undefined ? {} : { level }) };
}

export function formatContext({ user, role, type, level }: Context): string {
  return [user, role, type, ...(level === undefined ? [] : [level])].join(':');
}

/** What the labels of guests may be made of: the lowest sensitivity of a process, and its categories from `first` to `last`. */
export interface CategoryRange {
  readonly sensitivity: string;
  readonly first: number;
  readonly last: number;
}

/** What a policy has when it says nothing else. */
const categoriesDefault = { first: 0, last: 1023 };

/** Two categories, `first` below `second`: with fewer two guests would share one far sooner. */
export interface CategoryPair {
  readonly first: number;
  readonly second: number;
}

/**
 * The range of a process (A8): `s0`, `s2-s3`, `s0-s0:c0.c1023`, or none at all. The sensitivity is the low end's, the categories are the high end's; a process
 * that has none in its range, as root in a shell, may use all. Throws `label-failed` for categories that are no single run.
 */
export function categoryRange(level: string | undefined): CategoryRange {
  if (level === undefined) return { sensitivity: 's0', ...categoriesDefault };
  const match = /^(s\d+)(?::[c\d.,]+)?(?:-s\d+(?::([c\d.,]+))?)?$/.exec(level);
  const [, sensitivity = '', high] = match ?? [];
  const categories = high ?? (level.includes('-') ? undefined : level.split(':')[1]);
  if (match !== null && categories === undefined) return { sensitivity, ...categoriesDefault };
  const run = /^c(\d{1,4})\.c(\d{1,4})$/.exec(categories ?? '');
  if (match === null || run === null || Number(run[1]) >= Number(run[2])) {
    throw new VmferryError(
      'label-failed',
      `The SELinux level of this agent is ${level}; to label guests it needs categories in one run, like s0-s0:c0.c1023.`,
    );
  }
  return { sensitivity, first: Number(run[1]), last: Number(run[2]) };
}

export function pairCount({ first, last }: CategoryRange): number {
  const categories = last - first + 1;
  return (categories * (categories - 1)) / 2;
}

/** The pairs of a range in one order; `index` is 0 to `pairCount` - 1. */
export function pairAt({ first }: CategoryRange, index: number): CategoryPair {
  // Pairs whose second category lies `second` above the first of the range follow second * (second - 1) / 2 others.
  let second = Math.floor((1 + Math.sqrt(1 + 8 * index)) / 2);
  while ((second * (second - 1)) / 2 > index) second -= 1;
  return { first: first + index - (second * (second - 1)) / 2, second: first + second };
}

export function levelOf({ sensitivity }: CategoryRange, { first, second }: CategoryPair): string {
  return `${sensitivity}:c${first},c${second}`;
}

/** True for a level that `levelOf` may give within this range. */
export function isPairOf({ sensitivity, first, last }: CategoryRange, level: string | undefined): boolean {
  const match = /^(s\d+):c(\d{1,4}),c(\d{1,4})$/.exec(level ?? '');
  if (match === null || match[1] !== sensitivity) return false;
  const [low, high] = [Number(match[2]), Number(match[3])];
  return first <= low && low < high && high <= last;
}
