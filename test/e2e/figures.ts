export type Figures = Record<string, number | string | null>;

/** Prints the one line that everybody can check, and makes the run fail when an aim is missed or a figure is missing. */
export function report(run: string, figures: Figures, aims: Readonly<Record<string, (value: number) => boolean>>): void {
  const missed = Object.entries(aims).filter(([key, holds]) => typeof figures[key] !== 'number' || !holds(figures[key]));
  for (const [key] of missed) process.stdout.write(`${run}: ${key} is ${String(figures[key] ?? null)}, which misses its aim\n`);
  process.stdout.write(`tests: ${Object.keys(aims).length - missed.length} passed, ${missed.length} failed, 0 skipped\n`);
  process.stdout.write(`figures: ${JSON.stringify(figures)}\n`);
  if (missed.length > 0) process.exitCode = 1;
}
