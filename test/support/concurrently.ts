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
  let atWork = 0;
  /** The test that is waited for; what comes behind it runs meanwhile, a few at a time. */
  let awaited: number | undefined;
  const start = (index: number) => {
    const test = list[index]?.[1];
    if (test === undefined || started.has(index)) return;
    atWork++;
    const ended = test().then(() => undefined, (error) => error ?? new Error("Failed"));
    started.set(
      index,
      ended.finally(() => {
        atWork--;
        startMore();
      }),
    );
  };
  const startMore = () => {
    if (awaited === undefined) return;
    for (let next = awaited; next < list.length && atWork < WIDTH; next++) start(next);
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
        awaited = index;
        start(index);
        startMore();
        const error = await started.get(index);
        awaited = undefined;
        if (error !== undefined) throw error;
      },
    });
  }
}
