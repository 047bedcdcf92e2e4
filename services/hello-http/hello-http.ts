import { HttpService, type HttpRequest, type HttpServiceOptions } from '../http-service.ts';
import { RequestRefused, plainText, textError, type HttpAnswer } from '../http-answer.ts';
import { decodeSegment } from '../request-target.ts';
import { burnCpu } from './burn-cpu.ts';

export interface HelloHttpOptions extends Pick<HttpServiceOptions, 'version' | 'log' | 'metrics'> {
  /** Offer `GET /-/load?ms=` for tests of autoscaling. */
  readonly loadEndpoint: boolean;
}

/** `GET /` answers "Hello, world!", `GET /{name}` "Hello, {name}!"; the names healthz, readyz and metrics are taken. */
export function createHelloHttp({ loadEndpoint, ...options }: HelloHttpOptions): HttpService {
  return new HttpService({ ...options, maxBodyBytes: 0, renderError: textError, handle: (request) => hello(request, loadEndpoint) });
}

function hello({ method, path, search }: HttpRequest, loadEndpoint: boolean): HttpAnswer | Promise<HttpAnswer> {
  if (method !== 'GET' && method !== 'HEAD') throw new RequestRefused({ status: 405, message: 'use GET or HEAD', headers: { allow: 'GET, HEAD' } });
  if (loadEndpoint && path === '/-/load') return load(search);
  if (path.indexOf('/', 1) > 0) throw new RequestRefused({ status: 404, message: 'not found: the path must be / or /{name}' });
  const name = decodeSegment(path.slice(1));
  if (name === undefined) throw new RequestRefused({ status: 400, message: 'the name must be percent-encoded UTF-8' });
  return plainText(200, `Hello, ${name === '' ? 'world' : name}!`);
}

async function load(search: string): Promise<HttpAnswer> {
  const text = new URLSearchParams(search).get('ms') ?? '';
  const ms = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (ms < 1 || ms > 1000) throw new RequestRefused({ status: 400, message: 'ms must be a whole number from 1 to 1000' });
  await burnCpu(ms);
  return plainText(200, `burned ${ms} ms\n`);
}
