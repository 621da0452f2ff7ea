import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { endFrame, FrameReader, frameOf } from './frames.js';
import type { OpenEnd } from './node-end.js';

/** As much may wait for its receiver before nothing more is read; Node has decrypted some more by then. */
const untakenBytesMax = 256 * 1024;

/** The other relay, behind the TLS of its stream. */
export const tlsEnd =
  (socket: TLSSocket): OpenEnd =>
  (listener) => {
    const frames = new FrameReader();
    let untakenBytes = 0;
    let isEndSent = false;
    const give = (bytes: Uint8Array) => {
      untakenBytes += bytes.length;
      listener.piece(bytes, () => {
        untakenBytes -= bytes.length;
        if (untakenBytes < untakenBytesMax) socket.resume();
      });
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const payload of frames.payloads(chunk)) give(payload);
      } catch (thrown) {
        listener.broke(thrown as NodeJS.ErrnoException); // The reader throws nothing else.
        return;
      }
      if (frames.isEnded) listener.ended();
      else if (untakenBytes >= untakenBytesMax) socket.pause();
    });
    // A relay closes when both directions have ended. Before that, an end is a connection that was cut.
    socket.once('end', () => {
      if (!frames.isEnded || !isEndSent) listener.broke(cut());
    });
    socket.on('error', (error: NodeJS.ErrnoException) => listener.broke(error));
    return {
      write: (bytes, written) => {
        let waiting = true;
        socket.write(frameOf(bytes), (error) => {
          waiting = false;
          return error ?? written();
        });
        // Node tells in its next turn what the kernel took at once.
        setImmediate(() => {
          if (waiting) listener.stalled();
        });
      },
      end(done) {
        isEndSent = true;
        socket.write(endFrame, (error) => error ?? done());
      },
      async close() {
        socket.destroy();
        if (!socket.closed) await once(socket, 'close');
      },
    };
  };

function cut(): NodeJS.ErrnoException {
  return Object.assign(new Error('The connection was cut.'), { code: 'ECONNRESET', errno: 104, syscall: 'read' });
}
