import type { CharacterBackend, DomainDefinition } from '@vmferry/domain';
import type { LabelledDomain } from './security-driver.js';

/** What the QEMU of this definition has to reach. */
export function labelledDomain({ uuid, name, os, devices }: DomainDefinition): LabelledDomain {
  const disks = devices.flatMap((device) =>
    device.t === 'disk' && device.source !== undefined ? [{ ...device, source: device.source }] : [],
  );
  const backends = devices.flatMap((device) => (device.t === 'serial' || device.t === 'console' ? [device.backend] : []));
  const boot = [os.kernel, os.initrd, os.loader].filter((path) => path !== undefined);
  return {
    uuid,
    name,
    writable: unique(disks.filter(({ readonly }) => !readonly).map(({ source }) => source)),
    readable: unique([...disks.filter(({ readonly }) => readonly).map(({ source }) => source), ...boot]),
    created: unique(backends.flatMap((backend) => (backend.type === 'file' || isUnix(backend, 'bind') ? [backend.path] : []))),
    connected: unique(backends.flatMap((backend) => (isUnix(backend, 'connect') ? [backend.path] : []))),
  };
}

type UnixBackend = Extract<CharacterBackend, { type: 'unix' }>;

function isUnix(backend: CharacterBackend, mode: UnixBackend['mode']): backend is UnixBackend {
  return backend.type === 'unix' && backend.mode === mode;
}

function unique(paths: readonly string[]): string[] {
  return [...new Set(paths)];
}
