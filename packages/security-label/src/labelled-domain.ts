import type { CharacterBackend, DomainDefinition } from '@vmferry/domain';
import type { LabelledDomain } from './security-driver.js';

/** What the QEMU of this definition has to reach. */
export function labelledDomain(definition: DomainDefinition): LabelledDomain {
  const { uuid, name, type, emulator, os, devices, secLabels } = definition;
  const disks = devices.flatMap((device) =>
    device.t === 'disk' && device.source !== undefined ? [{ ...device, source: device.source }] : [],
  );
  const written = disks.filter(({ readonly }) => !readonly);
  const backends = devices.flatMap((device) => (device.t === 'serial' || device.t === 'console' ? [device.backend] : []));
  const boot = [os.kernel, os.initrd, os.loader].filter((path) => path !== undefined);
  return {
    uuid,
    name,
    emulated: type === 'qemu',
    ...(emulator === undefined ? {} : { emulator }),
    secLabels,
    writable: unique(written.map(({ source }) => source)),
    shared: unique(written.filter(({ shareable }) => shareable).map(({ source }) => source)),
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
