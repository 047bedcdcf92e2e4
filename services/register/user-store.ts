import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** Users in one SQLite file. An insert that returned is on the disk: WAL with a sync at every commit. */
export class UserStore {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;

  /** Opens or creates `users.db` in the folder. */
  constructor(folder: string) {
    const path = join(folder, 'users.db');
    try {
      // While one pod replaces another, both have the file open for a moment.
      this.#database = new DatabaseSync(path, { timeout: 1000 });
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      this.#database.exec(
        'CREATE TABLE IF NOT EXISTS users (username TEXT PRIMARY KEY, password_hash TEXT NOT NULL, registered_at TEXT NOT NULL) STRICT, WITHOUT ROWID',
      );
    } catch (error) {
      throw new Error(`cannot keep users in ${path}: DATA_DIR must be a folder that this user may write`, { cause: error });
    }
    this.#insert = this.#database.prepare('INSERT INTO users VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#select = this.#database.prepare('SELECT 1 FROM users WHERE username = ?');
  }

  has(username: string): boolean {
    return this.#select.get(username) !== undefined;
  }

  /** False where the name is taken. */
  add(username: string, passwordHash: string, registeredAt: Date): boolean {
    return this.#insert.run(username, passwordHash, registeredAt.toISOString()).changes === 1;
  }

  close(): void {
    this.#database.close();
  }
}
