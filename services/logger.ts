import winston from 'winston';

export type Logger = winston.Logger;

/** One JSON object a line on stdout: timestamp (RFC 3339), level, service, version, message and the fields of the call. */
export function createLogger(service: string, version: string): Logger {
  return winston.createLogger({
    format: winston.format.combine(winston.format.timestamp(), winston.format.json({ replacer: describeErrors })),
    defaultMeta: { service, version },
    transports: [new winston.transports.Console()],
  });
}

/** JSON shows an Error as {}. */
function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { message: value.message, stack: value.stack, cause: value.cause };
}
