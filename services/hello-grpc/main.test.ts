import { status } from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';
import { startService } from '../service-process.ts';
import { ReflectedClient } from './reflected-client.ts';

const entry = `${import.meta.dirname}/main.ts`;

/** Calls without pause until the server is gone; resolves with every outcome that was neither an answer nor a refused connection. */
async function callUntilGone(port: number, onAnswer: () => void): Promise<readonly string[]> {
  using client = new ReflectedClient(port);
  const sayHello = await client.method('hello.Hello', 'SayHello');
  const lost: string[] = [];
  while (lost.length < 100) {
    const { code, details } = await client.call(sayHello, { name: 'Ada' });
    if (code === status.OK) onAnswer();
    else if (code === status.UNAVAILABLE && details.includes('ECONNREFUSED')) break;
    else lost.push(`${code} ${details}`);
  }
  return lost;
}

test('SIGTERM under load with a health watcher: no call is lost, exit 0', async () => {
  await using service = await startService(entry, { VERSION: 'v1' });
  using watcher = new ReflectedClient(service.port);
  const watch = watcher.stream(await watcher.method('grpc.health.v1.Health', 'Watch'), { service: '' });
  expect((await watch.next()).value).toEqual({ status: 'SERVING' });
  expect((await fetch(`http://127.0.0.1:${service.metricsPort}/readyz`)).status).toBe(200);

  let answered = 0;
  let warm = (): void => undefined;
  const warmedUp = new Promise<void>((resolve) => (warm = resolve));
  const clients = Array.from({ length: 16 }, () => callUntilGone(service.port, () => (answered += 1) === 1000 && warm()));
  await warmedUp;

  const exit = service.stop();
  expect((await watch.next()).value).toEqual({ status: 'NOT_SERVING' });
  const ready = await fetch(`http://127.0.0.1:${service.metricsPort}/readyz`);
  expect(ready.status).toBe(503);
  expect((await Promise.all(clients)).flat()).toEqual([]);
  expect(await exit).toBe(0);
}, 20_000);

test('a 100 MB message is refused without growth', async () => {
  await using service = await startService(entry);
  const rss = async (): Promise<number> => {
    const metrics = await (await fetch(`http://127.0.0.1:${service.metricsPort}/metrics`)).text();
    return Number(/^process_resident_memory_bytes\S* (\d+)$/m.exec(metrics)?.[1]);
  };
  const before = await rss();
  using client = new ReflectedClient(service.port);
  const sayHello = await client.method('hello.Hello', 'SayHello');
  const outcome = await client.call(sayHello, { name: 'a'.repeat(100 * 1024 * 1024) });
  expect(outcome).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect((await rss()) - before).toBeLessThan(64 * 1024 * 1024);
}, 20_000);

test('a taken port ends it', async () => {
  await using first = await startService(entry);
  await expect(startService(entry, { PORT: String(first.port) })).rejects.toThrow('EADDRINUSE');
});
