import winston from 'winston';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface Logger {
  readonly error: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly debug: (message: string, fields?: LogFields) => void;
}

type LogFields = Readonly<Record<string, unknown>>;

/** JSON lines on stdout with `time`, `level`, `message` and the fields. An Error becomes its stack and the messages of its causes. */
export function logger(level: LogLevel): Logger {
  const target = winston.createLogger({
    level,
    format: winston.format.printf((entry) => JSON.stringify({ time: new Date().toISOString(), ...entry }, readable)),
    transports: [new winston.transports.Console()],
  });
  const at = (lineLevel: LogLevel) => (message: string, fields: LogFields = {}): void => {
    // A disabled winston call still costs microseconds.
    if (target.isLevelEnabled(lineLevel)) target.log({ ...fields, level: lineLevel, message });
  };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

function readable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  return value instanceof Error ? { name: value.name, message: value.message, stack: value.stack, cause: value.cause } : value;
}
