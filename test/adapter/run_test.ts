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

Deno.test("a detached program leads a session of its own, and what it starts ends with it", async () => {
  const lead = 'read -r pid _ _ _ pgid session _ </proc/self/stat; echo "$pid $pgid $session"';
  const { stdout } = await run(["sh", "-c", lead], { detached: true });
  const [pid, group, session] = text(stdout).trim().split(" ");
  assert.deepEqual([group, session], [pid, pid]);
  const started = performance.now();
  const hanging = await run(["sh", "-c", "sleep 600 & sleep 600"], {
    detached: true,
    timeoutMs: 300,
  });
  // Whatever is left would hold the pipes for ten minutes.
  assert.ok(hanging.timedOut && performance.now() - started < 60_000);
});

Deno.test("a detached program that there is not is named, as any other", async () => {
  for (const detached of [true, false]) {
    await assert.rejects(run(["no-such-program"], { detached }), {
      message: 'Program "no-such-program" is not on PATH',
    });
    await assert.rejects(run(["true"], { detached, cwd: "/no/such/directory" }), {
      message: 'There is no directory "/no/such/directory"',
    });
    await assert.rejects(run(["/etc/passwd"], { detached }), {
      message: 'Program "/etc/passwd" may not be run',
    });
  }
});
