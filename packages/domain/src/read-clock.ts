import { attribute, childrenOf, type XmlElement } from '@vmferry/xml';
import type { ClockDefinition, TimerDefinition } from './definition.js';
import { integer, matching, oneOf, only, yesNo } from './fields.js';

export function readClock(root: XmlElement): ClockDefinition {
  const clock = only(root, 'clock');
  if (clock === undefined) return { offset: 'utc', timers: [] };
  return {
    offset: attribute(clock, 'offset') === 'localtime' ? 'localtime' : 'utc',
    timers: childrenOf(clock, 'timer').map(readTimer),
  };
}

function readTimer(timer: XmlElement): TimerDefinition {
  const names = ['platform', 'pit', 'rtc', 'hpet', 'tsc', 'kvmclock', 'hypervclock'] as const;
  const present = attribute(timer, 'present');
  const policy = attribute(timer, 'tickpolicy');
  const frequency = attribute(timer, 'frequency');
  const mode = attribute(timer, 'mode');
  const policies = ['delay', 'catchup', 'merge', 'discard'] as const;
  return {
    name: oneOf('<timer name>', attribute(timer, 'name') ?? '', names),
    ...(present === undefined ? {} : { present: yesNo('<timer present>', present) }),
    ...(policy === undefined ? {} : { tickPolicy: oneOf('<timer tickpolicy>', policy, policies) }),
    ...(frequency === undefined ? {} : { frequencyHz: integer('<timer frequency>', frequency, 1, 1e12) }),
    ...(mode === undefined ? {} : { mode: matching('<timer mode>', mode, /^[a-z]{1,16}$/, 'a mode of the tsc') }),
  };
}
