export type Environment = Readonly<Record<string, string | undefined>>;

export interface ServiceSettings {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Shown to users in `x-version`; default "dev". */
  readonly version: string;
  /** How long to go on accepting after SIGTERM, because load balancers learn of it later than we do; default 3000. */
  readonly stopDelayMs: number;
  /** How long requests in flight may take after that before they are cut; default 15000. */
  readonly stopTimeoutMs: number;
}

/** PORT, VERSION, STOP_DELAY_MS, STOP_TIMEOUT_MS. Throws an Error that names the variable. */
export function readServiceSettings(env: Environment, defaultPort: number): ServiceSettings {
  return {
    port: readInteger(env, 'PORT', { fallback: defaultPort, max: 65_535 }),
    version: readVersion(env),
    stopDelayMs: readInteger(env, 'STOP_DELAY_MS', { fallback: 3000, max: 600_000 }),
    stopTimeoutMs: readInteger(env, 'STOP_TIMEOUT_MS', { fallback: 15_000, max: 600_000 }),
  };
}

/** A whole number from 0 to `max`; an unset or empty variable means `fallback`. */
export function readInteger(env: Environment, name: string, { fallback, max }: { fallback: number; max: number }): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value <= max) return value;
  throw new Error(`${name} must be a whole number from 0 to ${max}, not ${JSON.stringify(text)}`);
}

function readVersion(env: Environment): string {
  const version = env['VERSION'] || 'dev';
  // It travels in a header and in gRPC metadata: both take visible ASCII only.
  if (/^[\x21-\x7e]{1,128}$/.test(version)) return version;
  throw new Error(`VERSION must be 1 to 128 visible ASCII characters, not ${JSON.stringify(version)}`);
}
