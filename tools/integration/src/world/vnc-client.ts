import { createCipheriv } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const [noAuth, vncAuth] = [1, 2] as const;

/** What the handshake of RFB (RFC 6143, 7.1 to 7.3) has told. */
export interface VncGreeting {
  readonly security: 'none' | 'password';
  /** QEMU calls its desktop by the name of its guest. */
  readonly desktop: string;
}

/** Connects to a VNC display as a viewer does, up to its first picture. Throws what the server says of a refusal, and the error of the connection. */
export async function greetVnc(port: number, password?: string): Promise<VncGreeting> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const read = reader(socket);
    await read(12);
    socket.write('RFB 003.008\n');
    const types = [...(await read((await read(1)).readUInt8()))];
    const security = types.includes(vncAuth) ? vncAuth : noAuth;
    socket.write(Buffer.from([security]));
    if (security === vncAuth) socket.write(answerTo(await read(16), password ?? ''));
    if ((await read(4)).readUInt32BE() !== 0) throw new Error(`refused: ${await text(read)}`);
    socket.write(Buffer.from([1]));
    await read(20);
    return { security: security === vncAuth ? 'password' : 'none', desktop: await text(read) };
  } finally {
    socket.destroy();
  }
}

type Read = (bytes: number) => Promise<Buffer>;

async function text(read: Read): Promise<string> {
  return (await read((await read(4)).readUInt32BE())).toString();
}

function reader(socket: Socket): Read {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest = Buffer.alloc(0);
  return async (bytes) => {
    while (rest.length < bytes) {
      const next = await chunks.next();
      if (next.done === true) throw new Error('the VNC server has closed the connection');
      rest = Buffer.concat([rest, next.value]);
    }
    const taken = rest.subarray(0, bytes);
    rest = rest.subarray(bytes);
    return taken;
  };
}

/**
 * The challenge under DES with the password as its key, the bits of each byte turned around. OpenSSL keeps plain DES in its legacy provider; triple DES
 * with one key three times is the same.
 */
function answerTo(challenge: Buffer, password: string): Buffer {
  const key = Buffer.alloc(8);
  key.write(password, 'latin1');
  const turned = Buffer.from(
    key.map((byte) => Number.parseInt(byte.toString(2).padStart(8, '0').split('').reverse().join(''), 2)),
  );
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([turned, turned, turned]), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(challenge), cipher.final()]);
}
