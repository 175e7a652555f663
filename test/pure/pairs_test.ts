import assert from "node:assert/strict";
import { pairLines } from "../../lib/cli/pairs.ts";
import { readAccounting, readTaskLine } from "../../lib/slurm/account.ts";
import { shortagesOfJob, statesIn } from "../../lib/commands/job_shortage.ts";
import { shortagesOf } from "../../lib/slurm/shortage.ts";

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

Deno.test("shortages are told by Slurm's words alone", () => {
  const accounting = { time_limit_seconds: 60, requested_memory_bytes: 0, max_rss_bytes: 5 };
  const time = { of: "time", limitSeconds: 60 };
  assert.deepEqual(shortagesOf(["FAILED", "TIMEOUT"], accounting), [time]);
  assert.deepEqual(shortagesOf(["OUT_OF_MEMORY", "TIMEOUT"], accounting), [
    { of: "memory", requestedBytes: undefined, usedBytes: 5 },
    time,
  ]);
  assert.deepEqual(shortagesOf(["FAILED", "CANCELLED"], accounting), []);
});

Deno.test("figures that accounting does not have are those of the submission", () => {
  const submitted = { time_limit_seconds: 90, requested: "cpu=1,mem=1.5G,node=1,billing=1" };
  const states = ["OUT_OF_MEMORY", "TIMEOUT"];
  assert.deepEqual(shortagesOfJob(states, undefined, submitted), [
    { of: "memory", requestedBytes: 1536 * 1024 ** 2, usedBytes: undefined },
    { of: "time", limitSeconds: 90 },
  ]);
  const accounting = { time_limit_seconds: 60, requested_memory_bytes: 7, max_rss_bytes: 5 };
  assert.deepEqual(shortagesOfJob(states, accounting, submitted), [
    { of: "memory", requestedBytes: 7, usedBytes: 5 },
    { of: "time", limitSeconds: 60 },
  ]);
  assert.deepEqual(shortagesOfJob(["TIMEOUT"], {}, { requested: "cpu=1" }), [
    { of: "time", limitSeconds: undefined },
  ]);
});

Deno.test("the components of a heterogeneous job have states of their own", () => {
  const group = (state: string) => ({ state, phase: "failed" as const, indices: "0", count: 1 });
  const report = { jobId: "5", phase: "failed", state: "FAILED" } as const;
  assert.deepEqual(
    statesIn({ ...report, components: [group("OUT_OF_MEMORY"), group("CANCELLED")] }),
    ["FAILED", "OUT_OF_MEMORY", "CANCELLED"],
  );
});
