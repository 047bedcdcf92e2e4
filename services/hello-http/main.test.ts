import { Agent, get } from 'node:http';
import { expect, test } from '@jest/globals';
import { startService } from '../service-process.ts';

const entry = `${import.meta.dirname}/main.ts`;

interface Answer {
  readonly status: number;
  readonly connection: string | undefined;
  readonly body: string;
}

function request(port: number, path: string, agent: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, connection: response.headers.connection, body }));
      response.once('error', reject);
    }).once('error', reject);
  });
}

/** One client with one keep-alive connection, until it is told to leave; resolves with the answers it did not get. */
async function askUntilToldToLeave(port: number, onAnswer: () => void): Promise<readonly string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    try {
      const { body, connection } = await request(port, '/Ada', agent);
      if (body !== 'Hello, Ada!') return [body];
      if (connection === 'close') return [];
      onAnswer();
    } catch (error) {
      return [String(error)];
    }
  }
}

test('SIGTERM under load: requests in flight finish, none is lost, exit 0', async () => {
  await using service = await startService(entry, { LOAD_ENDPOINT: 'true', VERSION: 'v1' });
  let answered = 0;
  let warm = (): void => undefined;
  const warmedUp = new Promise<void>((resolve) => (warm = resolve));
  const clients = Array.from({ length: 16 }, () => askUntilToldToLeave(service.port, () => (answered += 1) === 500 && warm()));
  await warmedUp;

  const slow = request(service.port, '/-/load?ms=400', new Agent({ keepAlive: true }));
  // Answered only once the slow one before it is being served.
  expect((await request(service.port, '/healthz', new Agent())).status).toBe(200);
  const exit = service.stop();
  expect(await slow).toEqual({ status: 200, connection: 'close', body: 'burned 400 ms\n' });
  expect((await Promise.all(clients)).flat()).toEqual([]);
  expect(await exit).toBe(0);
  expect(answered).toBeGreaterThan(500);
}, 20_000);

test('a wrong setting is named and ends it with 1', async () => {
  await expect(startService(entry, { VERSION: 'a b' })).rejects.toThrow(/VERSION must be 1 to 128 visible ASCII characters, not \\"a b\\"/);
});

test('a taken port ends it', async () => {
  await using first = await startService(entry);
  await expect(startService(entry, { PORT: String(first.port) })).rejects.toThrow('EADDRINUSE');
});
