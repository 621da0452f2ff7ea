import { type ErrorCode, toProblem, type VmferryError } from '@vmferry/errors';
import { printable } from './printable.js';

const hints: Partial<Record<ErrorCode, string>> = {
  'peer-unreachable': 'is the agent of that URL up? `vmferry host up` starts one',
  unauthenticated: 'give a token in VMFERRY_TOKEN',
  forbidden: 'the token in VMFERRY_TOKEN has no permission for this',
  'domain-not-found': '`vmferry domain list --all` shows the domains of this host',
  'not-found': 'is it the URL of a source-agent? GET URL/version tells what it is of',
  'domain-running': '`vmferry domain shutdown` or `vmferry domain destroy` ends it',
  'domain-not-running': '`vmferry domain start` starts it; `vmferry migrate --offline --persistent` moves its definition alone',
  'domain-autodestroy': 'destroy it, and start it without --autodestroy',
  'no-active-job': '`vmferry domain jobinfo` shows the last job',
  'already-migrating': '`vmferry migration list` shows the migration',
  'migration-not-found': '`vmferry migration list` shows the migrations that this agent knows',
  'migration-live': '`vmferry migration cancel` asks it to stop',
  'migration-undecided': '`vmferry migration watch` waits for the outcome',
  'past-point-of-no-return': 'the domain is on the destination; migrate it back from there',
  'same-host': "give the URL of another host's destination-agent",
  'domain-busy': 'try again when the job is over; `vmferry domain show` names it',
  'agent-running': 'stop the agent that it names, or use another --state-dir',
};

/** An error for a person: what is wrong and its code, then the faulty fields, what else went wrong, and what to do. */
export function failureText(error: VmferryError): string {
  const { side, phase } = error.place;
  const lines = [
    `error: ${error.message} (${error.code})`,
    ...(side === undefined && phase === undefined ? [] : [`  ${placeText(side, phase)}`]),
    ...faultsBeyond(error).map((fault) => `  ${fault.path}: ${fault.detail} (${fault.code})`),
    ...error.suppressed.map((later) => `  then ${placeText(later.side, later.phase)}: ${later.detail} (${later.code})`),
    ...(hints[error.code] === undefined ? [] : [`  hint: ${hints[error.code]}`]),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

/** The one fault that the message is about is told by it. */
const faultsBeyond = ({ message, errors }: VmferryError) =>
  errors.length === 1 && message.includes(errors[0]?.detail ?? '') ? [] : errors;

/** The same error for a program: its problem document on one line. */
export const failureJson = (error: VmferryError): string => `${JSON.stringify({ error: toProblem(error) })}\n`;

function placeText(side: string | undefined, phase: string | undefined): string {
  return (
    [phase === undefined ? '' : `in ${phase}`, side === undefined ? '' : `at the ${side}`]
      .filter((text) => text !== '')
      .join(' ') || 'later'
  );
}
