import { RequestRefused, json, jsonError, type HttpAnswer } from '../http-answer.ts';
import { HttpService, type HttpRequest, type HttpServiceOptions } from '../http-service.ts';
import { readCredentials } from './credentials.ts';
import { PasswordHasher, type PasswordHasherOptions } from './password-hasher.ts';
import { Registration, type Registered } from './registration.ts';
import type { UserStore } from './user-store.ts';

export interface RegisterOptions extends Pick<HttpServiceOptions, 'version' | 'log' | 'metrics'> {
  readonly store: UserStore;
  readonly hashing: PasswordHasherOptions;
}

const answers: Readonly<Record<Registered, HttpAnswer>> = {
  registered: json(200, { message: 'user registered successfully' }),
  taken: jsonError({ status: 409, message: 'username is taken', field: 'username' }),
  busy: jsonError({ status: 429, message: 'too many registrations at once, try again later', headers: { 'retry-after': '2' } }),
};

/** `POST /register` with JSON `{username, password}`. The store stays open: whoever made it closes it. */
export function createRegister({ store, hashing, ...options }: RegisterOptions): HttpService {
  const registration = new Registration(store, new PasswordHasher(hashing));
  return new HttpService({ ...options, maxBodyBytes: 16 * 1024, renderError: jsonError, handle: (request) => register(request, registration) });
}

async function register({ method, path, readBody, isAbandoned }: HttpRequest, registration: Registration): Promise<HttpAnswer> {
  if (path !== '/register') throw new RequestRefused({ status: 404, message: 'not found: use POST /register' });
  if (method !== 'POST') throw new RequestRefused({ status: 405, message: 'use POST', headers: { allow: 'POST' } });
  const credentials = readCredentials(await readBody());
  return answers[await registration.register(credentials, isAbandoned)];
}
