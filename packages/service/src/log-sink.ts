import { Writable } from 'node:stream';

/** Lines that wait for a slow reader, in bytes; what comes above it is dropped. */
const waitingBytesMax = 1_048_576;

/**
 * What log lines go through on their way to `target`. A line that cannot be written, on a full disk for example, is dropped and
 * counted: a log never ends its app. `recovered` is told the count once a line could be written again; that line follows a line
 * break of its own, because the last one before the loss may be torn.
 */
export function logSink(target: NodeJS.WritableStream, recovered: (dropped: number) => void): Writable {
  let dropped = 0;
  // Each failure also comes to the callback of its write, and is counted there.
  target.on('error', () => undefined);
  const written = (error?: Error | null) => {
    if (error) dropped += 1;
    else if (dropped > 0) {
      const told = dropped;
      dropped = 0;
      recovered(told);
    }
  };
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      if (waitingBytes(target) > waitingBytesMax) dropped += 1;
      else target.write(dropped > 0 ? `\n${line}` : line, written);
      done();
    },
  });
}

const waitingBytes = (target: NodeJS.WritableStream): number =>
  'writableLength' in target && typeof target.writableLength === 'number' ? target.writableLength : 0;
