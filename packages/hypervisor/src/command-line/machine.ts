import type { ClockDefinition, DomainDefinition, TimerDefinition } from '@vmferry/domain';
import type { Capabilities } from '../probe.js';
import { json, keyValues } from './option-text.js';
import { unsupported } from './unsupported.js';

/** Machine, accelerator, memory, processors' number, clock, firmware and kernel. */
export function machineOptions(
  definition: DomainDefinition,
  capabilities: Pick<Capabilities, 'kvmUsable' | 'machines'>,
): string[] {
  const { os, features } = definition;
  if (!capabilities.machines.includes(os.machine)) {
    throw unsupported(
      `The machine type ${os.machine}`,
      'this QEMU does not have it under that name; define the domain with one that it has',
    );
  }
  const machine = keyValues(os.machine, {
    usb: false,
    'dump-guest-core': false,
    acpi: features.acpi ? undefined : false,
    vmport: features.vmport,
    hpet: timerOf(definition.clock, 'hpet')?.present,
    'memory-backend': definition.memoryAllocation === 'immediate' ? ramId : undefined,
  });
  return [
    ...['-machine', machine, '-accel', accelerator(definition, capabilities)],
    ...memoryOptions(definition),
    ...['-smp', processors(definition)],
    ...clockOptions(definition),
    ...bootOptions(definition),
  ];
}

/** The accelerator follows the type, never the other way round: a guest must not change its processor because of its host. */
function accelerator({ type }: DomainDefinition, { kvmUsable }: Pick<Capabilities, 'kvmUsable'>): string {
  switch (type) {
    case 'qemu':
      return 'tcg';
    case 'kvm':
      if (kvmUsable) return 'kvm';
      throw unsupported(
        'A domain of the type kvm',
        'KVM does not run 64-bit guests on this host at speed; the type qemu runs anywhere',
      );
    case 'kqemu':
    case 'xen':
      throw unsupported(`A domain of the type ${type}`, 'it is kvm or qemu that runs');
  }
}

/** The name that the RAM of a PC has in a stream: QEMU's own memory and a backend of ours migrate to each other. */
const ramId = 'pc.ram';

/** Memory that is there from the start is a backend of its own, which touches every page before QEMU greets. */
function memoryOptions({ memoryKib, memoryAllocation }: DomainDefinition): string[] {
  const backend = { 'qom-type': 'memory-backend-ram', id: ramId, size: memoryKib * 1_024, prealloc: true };
  return ['-m', `size=${memoryKib}k`, ...(memoryAllocation === 'immediate' ? json('-object', backend) : [])];
}

function processors({ vcpus, vcpusMax, cpu }: DomainDefinition): string {
  const { sockets, dies, cores, threads } = cpu?.topology ?? { sockets: vcpusMax, dies: 1, cores: 1, threads: 1 };
  return keyValues('', { cpus: vcpus, maxcpus: vcpusMax, sockets, dies, cores, threads });
}

export function timerOf({ timers }: ClockDefinition, name: TimerDefinition['name']): TimerDefinition | undefined {
  return timers.find((timer) => timer.name === name);
}

function clockOptions({ clock, type }: DomainDefinition): string[] {
  const rtc = timerOf(clock, 'rtc')?.tickPolicy;
  const pit = timerOf(clock, 'pit')?.tickPolicy;
  if (rtc !== undefined && rtc !== 'catchup' && rtc !== 'delay')
    throw unsupported(`The rtc timer with tickpolicy='${rtc}'`, 'delay and catchup are');
  if (pit !== undefined && pit !== 'delay' && pit !== 'discard')
    throw unsupported(`The pit timer with tickpolicy='${pit}'`, 'delay and discard are');
  if (timerOf(clock, 'platform') !== undefined) throw unsupported('The platform timer', 'QEMU has none');
  const pitPolicy = pit === undefined || type !== 'kvm' ? [] : ['-global', `kvm-pit.lost_tick_policy=${pit}`];
  return ['-rtc', keyValues('', { base: clock.offset, driftfix: rtc === 'catchup' ? 'slew' : undefined }), ...pitPolicy];
}

function bootOptions({ os }: DomainDefinition): string[] {
  return [
    ...['-boot', 'strict=on'],
    ...(os.loader === undefined ? [] : ['-bios', os.loader]),
    ...(os.kernel === undefined ? [] : ['-kernel', os.kernel]),
    ...(os.initrd === undefined ? [] : ['-initrd', os.initrd]),
    ...(os.cmdline === undefined ? [] : ['-append', os.cmdline]),
  ];
}
