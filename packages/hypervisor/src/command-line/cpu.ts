import type { CpuFeature, DomainDefinition } from '@vmferry/domain';
import { timerOf } from './machine.js';
import { keyValues } from './option-text.js';
import { unsupported } from './unsupported.js';

/**
 * The processor, always by name: QEMU's default may change with its version. With KVM a named model is enforced, for QEMU would
 * silently leave out what the host lacks and the guest would lose it in the middle of a migration. TCG has the same on every host.
 */
export function cpuOptions(definition: DomainDefinition): string[] {
  const { clock, cpu, type } = definition;
  const properties = {
    ...Object.fromEntries((cpu?.features ?? []).flatMap(featureProperty)),
    kvmclock: timerOf(clock, 'kvmclock')?.present,
    'hv-time': timerOf(clock, 'hypervclock')?.present,
    'tsc-frequency': timerOf(clock, 'tsc')?.frequencyHz,
    enforce: type === 'kvm' && (cpu?.mode ?? 'custom') === 'custom' && cpu?.model !== undefined ? true : undefined,
  };
  if (timerOf(clock, 'tsc')?.mode !== undefined) throw unsupported('The tsc timer with a mode', 'leave the mode out');
  return ['-cpu', keyValues(modelName(definition), properties)];
}

function modelName({ cpu, os, type }: DomainDefinition): string {
  switch (cpu?.mode ?? 'custom') {
    case 'custom':
      return cpu?.model ?? (os.arch === 'i686' ? 'qemu32' : 'qemu64');
    case 'host-passthrough':
      return type === 'kvm' ? 'host' : 'max';
    case 'host-model':
      throw unsupported("A processor with mode='host-model'", 'it would differ from host to host; name a model');
  }
}

/** `optional` would make the processor depend on the host on which the guest was started, so it stays as the model has it. */
function featureProperty({ name, policy }: CpuFeature): [string, boolean][] {
  switch (policy) {
    case 'force':
    case 'require':
      return [[name, true]];
    case 'disable':
    case 'forbid':
      return [[name, false]];
    case 'optional':
      return [];
  }
}
