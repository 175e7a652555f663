/** How many tests of a file are at work at the same time: they mostly wait for Slurm. */
const WIDTH = 4;

/**
 * Declares independent tests, of which the next ones already run while one is waited for. Each is
 * still a test of its own in the report.
 */
export function concurrently(
  ignore: boolean,
  tests: Readonly<Record<string, () => Promise<void>>>,
): void {
  const list = Object.entries(tests);
  const started = new Map<number, Promise<unknown>>();
  const start = (index: number) => {
    const test = list[index]?.[1];
    if (test === undefined || started.has(index)) return;
    started.set(index, test().then(() => undefined, (error) => error ?? new Error("Failed")));
  };
  // With a filter, or after an interruption, what has been begun ahead is left.
  Deno.test.afterAll(async () => {
    await Promise.all(started.values());
  });
  for (const [index, [name]] of list.entries()) {
    Deno.test({
      name,
      ignore,
      // What the next tests have begun is no leak of this one.
      sanitizeOps: false,
      sanitizeResources: false,
      async fn() {
        for (let next = index; next < index + WIDTH; next++) start(next);
        const error = await started.get(index);
        if (error !== undefined) throw error;
      },
    });
  }
}
