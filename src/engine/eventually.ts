/** For tests: waits until `check` no longer throws and does not answer false; at the deadline fails with what `check` said last. */
export async function eventually(check: () => unknown, deadlineMs = 5_000): Promise<void> {
  const untilMs = performance.now() + deadlineMs;
  for (;;) {
    try {
      if ((await check()) !== false) return;
      if (performance.now() > untilMs) throw new Error(`not within ${deadlineMs} ms: ${String(check)}`);
    } catch (error) {
      if (performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
