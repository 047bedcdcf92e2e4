import { randomBytes, scrypt } from 'node:crypto';

/** OWASP ASVS 5.0, 11.4: the strongest of its scrypt choices in memory. */
const cost = { log2N: 17, r: 8, p: 1 } as const;
const mebibyte = 1024 * 1024;
/** 128 * N * r. */
const hashBytes = 128 * mebibyte;
/** What the rest of the process takes. */
const processBytes = 96 * mebibyte;

export interface PasswordHasherOptions {
  /** Hashes computed at a time. */
  readonly parallel: number;
  /** How many more may wait. */
  readonly maxWaiting: number;
}

export interface HashRequest {
  readonly password: string;
  /** Nobody waits for the hash any more; asked again before its turn. */
  readonly isAbandoned: () => boolean;
}

interface Waiting extends HashRequest {
  readonly start: () => void;
  readonly giveUp: () => void;
}

/** Hashes on the thread pool, a few at a time, since each takes 128 MiB and a third of a second. */
export class PasswordHasher {
  readonly #options: PasswordHasherOptions;
  #running = 0;
  #waiting: Waiting[] = [];

  constructor(options: PasswordHasherOptions) {
    this.#options = options;
  }

  /** A PHC string with a salt of its own; undefined where too many wait already or the request was abandoned. */
  async hash(request: HashRequest): Promise<string | undefined> {
    if (!(await this.#turn(request))) return undefined;
    try {
      return await scryptPhc(request.password);
    } finally {
      this.#running -= 1;
      this.#startNext();
    }
  }

  #turn(request: HashRequest): Promise<boolean> {
    return new Promise((resolve) => {
      this.#dropAbandoned();
      if (this.#waiting.length >= this.#options.maxWaiting && this.#running >= this.#options.parallel) return resolve(false);
      this.#waiting.push({ ...request, start: () => resolve(true), giveUp: () => resolve(false) });
      this.#startNext();
    });
  }

  #startNext(): void {
    this.#dropAbandoned();
    if (this.#running >= this.#options.parallel) return;
    const next = this.#waiting.shift();
    if (!next) return;
    this.#running += 1;
    next.start();
  }

  #dropAbandoned(): void {
    const abandoned = this.#waiting.filter((waiting) => waiting.isAbandoned());
    if (abandoned.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !abandoned.includes(waiting));
    for (const waiting of abandoned) waiting.giveUp();
  }
}

export interface Machine {
  /** The limit of the cgroup; 0 where it cannot be known (`process.constrainedMemory`), more than the machine has where there is none. */
  readonly memoryLimitBytes: number;
  readonly totalMemoryBytes: number;
  readonly processors: number;
}

/** As many as memory and processors allow, and never all four threads of the pool. Throws where not even one fits. */
export function hashParallelism({ memoryLimitBytes, totalMemoryBytes, processors }: Machine): number {
  const memoryBytes = Math.min(memoryLimitBytes || Infinity, totalMemoryBytes);
  const fitting = Math.floor((memoryBytes - processBytes) / hashBytes);
  if (fitting >= 1) return Math.min(fitting, processors, 3);
  const neededMiB = (processBytes + hashBytes) / mebibyte;
  throw new Error(`a password hash takes 128 MiB: raise the memory limit from ${Math.floor(memoryBytes / mebibyte)}Mi to ${neededMiB}Mi or more`);
}

function scryptPhc(password: string): Promise<string> {
  const salt = randomBytes(16);
  const options = { N: 2 ** cost.log2N, r: cost.r, p: cost.p, maxmem: 2 * hashBytes };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, 32, options, (error, key) =>
      error ? reject(error) : resolve(`$scrypt$ln=${cost.log2N},r=${cost.r},p=${cost.p}$${phcBase64(salt)}$${phcBase64(key)}`),
    );
  });
}

/** PHC strings carry Base64 without padding. */
function phcBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
