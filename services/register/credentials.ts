import { RequestRefused } from '../http-answer.ts';

export interface Credentials {
  /** NFC, so that two spellings of one name are one user. */
  readonly username: string;
  /** Exactly as received (ASVS 5.0, 6.2.8). */
  readonly password: string;
}

// Control characters, line separators, and the bidirectional overrides that make one name look like another.
const forbiddenInNames = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

/** Reads `{username, password}`; throws RequestRefused (400) that names the field. Other fields are ignored. */
export function readCredentials(body: Buffer): Credentials {
  const fields = parseObject(body);
  return { username: readUsername(fields['username']), password: readPassword(fields['password']) };
}

function invalid(field: string, problem: string): RequestRefused {
  return new RequestRefused({ status: 400, message: `${field} ${problem}`, field });
}

function parseObject(body: Buffer): Record<string, unknown> {
  // The parser's own message would quote the text, and with it a password.
  const value = parse(body);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('body', 'must be a JSON object in UTF-8');
  return Object.assign(Object.create(null), value);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

function readUsername(value: unknown): string {
  const username = readText('username', value).normalize('NFC');
  const length = codePoints(username);
  if (length < 1 || length > 64) throw invalid('username', 'must have 1 to 64 characters');
  if (forbiddenInNames.test(username)) throw invalid('username', 'must not contain control characters');
  return username;
}

function readPassword(value: unknown): string {
  const password = readText('password', value);
  const length = codePoints(password);
  if (length < 8 || length > 256) throw invalid('password', 'must have 8 to 256 characters');
  return password;
}

function readText(field: string, value: unknown): string {
  if (value === undefined) throw invalid(field, 'is missing');
  if (typeof value !== 'string') throw invalid(field, 'must be a string');
  // A lone surrogate has no UTF-8: two names that differ only in such a character would be stored as one.
  if (!value.isWellFormed()) throw invalid(field, 'must be well-formed Unicode');
  return value;
}

function codePoints(text: string): number {
  return Array.from(text).length;
}
