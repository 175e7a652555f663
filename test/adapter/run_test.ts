import assert from "node:assert/strict";
import { run, text } from "../../lib/process/run.ts";

const RUN = new URL("../../lib/process/run.ts", import.meta.url).href;

/** Prints how much more memory a process has after a thousand programs than after the first half. */
const THOUSAND_RUNS = `
const { run } = await import(${JSON.stringify(RUN)});
const half = async () => {
  for (let count = 0; count < 500; count++) await run(["true"], { timeoutMs: 60_000 });
  return Deno.memoryUsage().rss;
};
const before = await half();
console.log(await half() - before);
`;

Deno.test("a program that was run leaves nothing in memory", async () => {
  const { stdout, stderr } = await run(
    [Deno.execPath(), "run", "-A", "--quiet", "--no-lock", "-"],
    { stdin: THOUSAND_RUNS },
  );
  assert.match(text(stdout), /^-?\d+\n$/, stderr);
  const growth = Number(text(stdout));
  // It was 55 MB where each pipe kept what it had been read into.
  assert.ok(growth < 25_000_000, `${growth} bytes`);
});

Deno.test("what a program prints comes whole, however much it is", async () => {
  const shell = "head -c 3000000 /dev/zero; head -c 200000 /dev/zero | tr '\\0' e >&2; exit 3";
  const { code, stdout, stderr } = await run(["sh", "-c", shell]);
  assert.deepEqual([code, stdout.length, stderr], [3, 3_000_000, "e".repeat(200_000)]);
  assert.ok(stdout.every((byte) => byte === 0));
  const none = await run(["true"]);
  assert.deepEqual([none.code, none.stdout.length, none.stderr], [0, 0, ""]);
});
