import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';

export type Change<T> = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T };

const pauseMs = 500;

/**
 * Hands over every object of a collection and every later change, one after another; after an interruption all objects come again as ADDED.
 * A handler that throws is reported and sees the object again at the next interruption or change.
 */
export async function followObjects<T>(client: ApiClient, path: string, handle: (change: Change<T>) => Promise<void>): Promise<never> {
  let order = Promise.resolve();
  const report = (error: unknown): void => console.error(`${path}:`, error);
  for (;;) {
    await client
      .watch(`${path}?watch=1`, (line) => {
        const change: Change<T> | { readonly type: 'ERROR' } = JSON.parse(line);
        if (change.type !== 'ERROR') order = order.then(() => handle(change)).catch(report);
      })
      .catch(report);
    await delay(pauseMs);
  }
}
