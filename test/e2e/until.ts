/** Polls until `check` does not throw; at the deadline fails with what it said last. Resolves with its result. */
export async function until<T>(what: string, deadlineMs: number, check: () => Promise<T> | T): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw new Error(`not within ${deadlineMs / 1000} s: ${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/** The measured time itself, not a wait for something to happen. */
export function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
