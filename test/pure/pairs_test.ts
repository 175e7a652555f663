import assert from "node:assert/strict";
import { pairLines } from "../../lib/cli/pairs.ts";
import { readAccounting, readTaskLine } from "../../lib/slurm/account.ts";
import { shortageOf } from "../../lib/slurm/shortage.ts";

Deno.test("names and values are aligned, and wrapped where the terminal is narrow", () => {
  const pairs = [
    { name: "Job", values: ["12"] },
    { name: "Nothing", values: [] },
    { name: "Command", values: ["sbatch job.sh with many words", "x".repeat(30)] },
  ];
  assert.deepEqual(pairLines(pairs, { width: Infinity, colour: false }), [
    "Job      12",
    "Command  sbatch job.sh with many words",
    `         ${"x".repeat(30)}`,
  ]);
  const narrow = pairLines(pairs, { width: 29, colour: false });
  assert.deepEqual(narrow, [
    "Job      12",
    "Command  sbatch job.sh with",
    "         many words",
    `         ${"x".repeat(20)}`,
    `         ${"x".repeat(10)}`,
  ]);
  assert.equal(Math.max(...narrow.map((line) => line.length)) <= 29, true);
});

Deno.test("accounting of a record is taken as far as it is of its kind", () => {
  assert.deepEqual(
    readAccounting({
      elapsed_seconds: 5,
      cpu_seconds: "5",
      cluster: 7,
      end: "2026-01-01T00:00:00Z",
      tasks: ["0 1 COMPLETED 0:0 5 - - n1", 7],
      task_states: { COMPLETED: "0" },
      user: "ada",
    }),
    {
      elapsed_seconds: 5,
      end: "2026-01-01T00:00:00Z",
      task_states: { COMPLETED: "0" },
    },
  );
  assert.equal(readAccounting(undefined), undefined);
});

Deno.test("a line of a task says what is known of it", () => {
  assert.deepEqual(readTaskLine("7 107 FAILED 4:0 2 1.5 - n[1-2]"), {
    index: 7,
    state: "FAILED",
    exitCode: 4,
    signal: 0,
    elapsedSeconds: 2,
    cpuSeconds: 1.5,
    nodeList: "n[1-2]",
  });
  assert.equal(readTaskLine("x 107 FAILED"), undefined);
});

Deno.test("a shortage is told by Slurm's words alone", () => {
  const accounting = { time_limit_seconds: 60, requested_memory_bytes: 0, max_rss_bytes: 5 };
  assert.deepEqual(shortageOf(["FAILED", "TIMEOUT"], accounting), { of: "time", limitSeconds: 60 });
  assert.deepEqual(shortageOf(["OUT_OF_MEMORY", "TIMEOUT"], accounting), {
    of: "memory",
    requestedBytes: undefined,
    usedBytes: 5,
  });
  assert.equal(shortageOf(["FAILED", "CANCELLED"], accounting), undefined);
});
