import winston from 'winston';
import { logSink } from './log-sink.js';
import { loggable } from './loggable.js';

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** One JSON object a line. Fields are cleaned by `loggable`: secrets redacted, control characters escaped, lengths capped. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same log with fields that every line carries, such as `{migrationId, side, phase}`. */
  child(fields: LogFields): Log;
}

export interface LoggerOptions {
  readonly app: string;
  readonly level: LogLevel;
  readonly hostName: string;
  /** Where lines go; stderr unless a test listens. */
  readonly stream?: NodeJS.WritableStream;
}

/** The log of an app. A line that cannot be written is dropped and counted, and the count is told when lines can be written again. */
export function createLogger(options: LoggerOptions): Log {
  const sink = logSink(options.stream ?? process.stderr, (dropped) =>
    log.error('log lines could not be written and are lost', { dropped }),
  );
  const logger = winston.createLogger({
    level: options.level,
    format: winston.format.combine(winston.format.timestamp(), winston.format.printf(formatLine)),
    transports: [new winston.transports.Stream({ stream: sink })],
  });
  const log = wrap(logger, { app: options.app, host: options.hostName });
  return log;
}

function wrap(logger: winston.Logger, base: LogFields): Log {
  // Fields travel under one key: winston would splice a field named `message` or `level` into its own.
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    logger.log({ level, message, fields: { ...base, ...fields } });
  };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    child: (fields) => wrap(logger, { ...base, ...fields }),
  };
}

function formatLine(info: winston.Logform.TransformableInfo): string {
  const line = {
    at: info.timestamp,
    level: info.level,
    message: loggable(info.message),
    ...(loggable(info.fields) as object), // loggable maps an object to an object
  };
  return escapeInvisible(JSON.stringify(line));
}

/** JSON escapes C0 controls; these are the others that a terminal or a line splitter acts on (threats, row 10). */
function escapeInvisible(line: string): string {
  return line.replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
