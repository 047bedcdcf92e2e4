import type { Credentials } from './credentials.ts';
import type { PasswordHasher } from './password-hasher.ts';
import type { UserStore } from './user-store.ts';

export type Registered = 'registered' | 'taken' | 'busy';

/**
 * Registers users, hashing once per name: whoever asks for a name that is being registered waits for that outcome, so a
 * hundred requests for one name cost one hash. That a name is taken is told by the answer itself, so its earlier answer reveals nothing more.
 */
export class Registration {
  readonly #store: UserStore;
  readonly #hasher: PasswordHasher;
  readonly #pending = new Map<string, Promise<Registered>>();

  constructor(store: UserStore, hasher: PasswordHasher) {
    this.#store = store;
    this.#hasher = hasher;
  }

  async register({ username, password }: Credentials, isAbandoned: () => boolean): Promise<Registered> {
    for (let ahead = this.#pending.get(username); ahead; ahead = this.#pending.get(username)) {
      // Its failure is told to the one who asked; we only need to know that it is over.
      await ahead.catch(() => undefined);
    }
    if (this.#store.has(username)) return 'taken';
    const attempt = this.#hashAndStore({ username, password }, isAbandoned).finally(() => this.#pending.delete(username));
    this.#pending.set(username, attempt);
    return attempt;
  }

  async #hashAndStore({ username, password }: Credentials, isAbandoned: () => boolean): Promise<Registered> {
    const passwordHash = await this.#hasher.hash({ password, isAbandoned });
    if (passwordHash === undefined) return 'busy';
    return this.#store.add(username, passwordHash, new Date()) ? 'registered' : 'taken';
  }
}
