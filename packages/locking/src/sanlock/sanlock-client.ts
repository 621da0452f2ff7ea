import { execFile } from 'node:child_process';
import { VmferryError } from '@vmferry/errors';

/** Joining a lockspace takes three times its I/O timeout, 30 s by default; a daemon whose storage hangs answers after that time. */
const answerMsMax = 180_000;
const outputBytesMax = 1_048_576;

/** What sanlock answered: 0, or a negative number that says why not (its sanlock_rv.h and errno). */
export interface SanlockAnswer {
  readonly code: number;
  readonly output: string;
}

/** sanlock's refusals that are told apart here. */
export const sanlockCode = {
  noProcess: -3,
  /** Held in shared mode by another host, or being freed on this one. */
  again: -11,
  /** By another process of this host; of a lockspace: joined already. */
  exists: -17,
  inProgress: -115,
  /** The lease has another lver than the one that was asked for. */
  staleLver: -240,
  heldByLiving: -243,
  lostBallot: -245,
  hostIdBusy: -262,
} as const;

/** The daemon of this host by its own command, which is part of the package: spawned without a shell, one request a process. */
export class SanlockClient {
  readonly #environment: NodeJS.ProcessEnv;

  /** `runDir` is where the socket of the daemon is; null for its own default. */
  constructor(readonly runDir: string | null) {
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    this.#environment = { PATH: path, LC_ALL: 'C', ...(runDir === null ? {} : { SANLOCK_RUN_DIR: runDir }) };
  }

  /** Throws `lease-unavailable` when there is no answer at all: no such command, no daemon, or none in time. */
  ask(...args: readonly string[]): Promise<SanlockAnswer> {
    return new Promise((resolve, reject) => {
      const options = { env: this.#environment, timeout: answerMsMax, maxBuffer: outputBytesMax };
      execFile('sanlock', args, options, (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`;
        const told = [...output.matchAll(/\b(?:done|error) (-?\d+)/g)].at(-1)?.[1];
        if (told !== undefined) resolve({ code: Number(told), output });
        else if (error === null) resolve({ code: 0, output });
        else reject(noAnswer(args, error));
      });
    });
  }
}

export function refusedBySanlock(what: string, code: number): VmferryError {
  const detail = `sanlock answers ${code} when ${what}; see sanlock.log of this host. Guests that run go on.`;
  return new VmferryError('lease-unavailable', detail, { data: { sanlock: code } });
}

function noAnswer(args: readonly string[], cause: Error): VmferryError {
  const detail = `sanlock ${args.slice(0, 2).join(' ')} gives no answer (${cause.message.slice(0, 256)}). Is its daemon running?`;
  return new VmferryError('lease-unavailable', detail, { cause });
}
