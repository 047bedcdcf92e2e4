import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestRefused } from './http-answer.ts';

const drainBytes = 1024 * 1024;

/** The whole body. Throws RequestRefused (413) as soon as it is, or says it will be, longer than `maxBytes`. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = (): RequestRefused => new RequestRefused({ status: 413, message: `the body must not exceed ${maxBytes} bytes` });
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= maxBytes) return void chunks.push(chunk);
      request.off('data', onData).pause();
      reject(tooLarge());
    };
    request.on('data', onData);
    request.once('end', () => resolve(Buffer.concat(chunks, size)));
    request.once('error', reject);
  });
}

/** True while bytes of a body may still follow on the connection. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
  return !request.complete && (encoding !== undefined || Number(length) > 0);
}

/**
 * Sends the answer, then reads and drops up to 1 MiB before the connection ends: closing with unread bytes makes the
 * kernel send a reset, which can destroy the answer on its way (RFC 9112, 9.6). The server's request timeout bounds the time.
 */
export function endAfterDraining(request: IncomingMessage, response: ServerResponse, body: string): void {
  let left = drainBytes;
  response.write(body);
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.once('error', () => undefined);
  request.once('close', () => response.end());
  request.resume();
}
