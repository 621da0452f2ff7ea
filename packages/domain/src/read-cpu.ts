import { attribute, childrenOf, textOf, type XmlElement } from '@vmferry/xml';
import type { CpuDefinition, CpuFeature, CpuTopology } from './definition.js';
import { integer, invalid, matching, oneOf, only } from './fields.js';

const modelPattern = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/;
const featurePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

export function readCpu(root: XmlElement, vcpusMax: number): CpuDefinition | undefined {
  const cpu = only(root, 'cpu');
  if (cpu === undefined) return undefined;
  const mode = oneOf('<cpu mode>', attribute(cpu, 'mode') ?? 'custom', ['custom', 'host-passthrough', 'host-model']);
  const named = only(cpu, 'model');
  const model = named === undefined ? '' : textOf(named).trim();
  const topology = readTopology(cpu, vcpusMax);
  return {
    mode,
    // In the other modes a model is what libvirt once found there, and says nothing.
    ...(mode === 'custom' && model !== ''
      ? { model: matching('<cpu><model>', model, modelPattern, 'the name of a CPU model') }
      : {}),
    ...(topology === undefined ? {} : { topology }),
    features: readFeatures(cpu),
  };
}

function readTopology(cpu: XmlElement, vcpusMax: number): CpuTopology | undefined {
  const topology = only(cpu, 'topology');
  if (topology === undefined) return undefined;
  const count = (name: string, otherwise?: string) =>
    integer(`<cpu><topology ${name}>`, attribute(topology, name) ?? otherwise ?? '', 1, 1024);
  const counts = { sockets: count('sockets'), dies: count('dies', '1'), cores: count('cores'), threads: count('threads') };
  const product = counts.sockets * counts.dies * counts.cores * counts.threads;
  if (product !== vcpusMax) throw invalid('<cpu><topology>', `makes ${product} processors, and <vcpu> says ${vcpusMax}`);
  return counts;
}

function readFeatures(cpu: XmlElement): CpuFeature[] {
  const features = childrenOf(cpu, 'feature').map((feature): CpuFeature => {
    const name = matching('<cpu><feature name>', attribute(feature, 'name') ?? '', featurePattern, 'the name of a CPU feature');
    const policies = ['force', 'require', 'optional', 'disable', 'forbid'] as const;
    return { name, policy: oneOf('<cpu><feature policy>', attribute(feature, 'policy') ?? 'require', policies) };
  });
  const repeated = features.find(({ name }, index) => features.findIndex((other) => other.name === name) !== index);
  if (repeated !== undefined) throw invalid('<cpu>', `has the feature ${repeated.name} more than once`);
  return features;
}
