import type { CharacterBackend } from '@vmferry/domain';
import { json, keyValues } from './option-text.js';

/** A serial port. `-chardev` takes no JSON in 7.2, so this is the one place where a path meets QEMU's comma syntax. */
export function serialOptions(port: number, backend: CharacterBackend): string[] {
  const id = `serial-${port}-host`;
  return [
    ...['-chardev', characterDevice(id, backend)],
    ...json('-device', { driver: 'isa-serial', chardev: id, id: `serial-${port}`, index: port }),
  ];
}

function characterDevice(id: string, backend: CharacterBackend): string {
  switch (backend.type) {
    case 'pty':
    case 'null':
      return keyValues(backend.type, { id });
    case 'file':
      return keyValues('file', { id, path: backend.path, append: backend.append });
    case 'unix':
      return keyValues('socket', {
        id,
        path: backend.path,
        ...(backend.mode === 'bind' ? { server: true, wait: false } : { server: false }),
      });
    case 'tcp':
      return keyValues('socket', { id, host: backend.host, port: backend.port, server: false });
  }
}
