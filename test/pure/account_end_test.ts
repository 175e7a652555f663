import assert from "node:assert/strict";
import { knowsEnd, withReport } from "../../lib/slurm/account_end.ts";
import type { JobReport, TaskGroup } from "../../lib/slurm/report.ts";
import { classifyState } from "../../lib/slurm/states.ts";

const END = 1795359739;

function group(state: string, indices: string, count: number): TaskGroup {
  return { state, phase: classifyState(state).phase, indices, count };
}

function report(state: string, more: Partial<JobReport> = {}): JobReport {
  return { jobId: "5", state, phase: classifyState(state).phase, end: END, ...more };
}

Deno.test("accounting knows the end of a job when its state is one", () => {
  const ended = report("COMPLETED");
  assert.equal(knowsEnd(undefined, ended), false);
  assert.equal(knowsEnd({}, ended), false);
  assert.equal(knowsEnd({ state: "RUNNING" }, ended), false);
  assert.equal(knowsEnd({ state: "COMPLETED" }, ended), true);
  assert.equal(knowsEnd({ state: "CANCELLED" }, ended), true);
});

Deno.test("accounting knows the end of an array when it has that of every task", () => {
  const ended = report("FAILED", {
    tasks: [group("COMPLETED", "0-2", 3), group("FAILED", "3", 1)],
  });
  const knows = (task_states: Record<string, string>) => knowsEnd({ task_states }, ended);
  assert.equal(knowsEnd({ state: "COMPLETED" }, ended), false);
  assert.equal(knows({ COMPLETED: "0-2" }), false);
  assert.equal(knows({ COMPLETED: "0-2", RUNNING: "3" }), false);
  assert.equal(knows({ COMPLETED: "0-1", TIMEOUT: "2-3" }), true);
  // No end is expected of what nobody knows.
  const unknown = report("COMPLETED", {
    tasks: [group("COMPLETED", "0", 1), group("UNKNOWN", "1", 1)],
  });
  assert.equal(knowsEnd({ task_states: { COMPLETED: "0" } }, unknown), true);
});

Deno.test("accounting knows the end of a heterogeneous job when it has that of each component", () => {
  const ended = report("COMPLETED", { components: [group("COMPLETED", "0-1", 2)] });
  const one = { state: "COMPLETED" };
  assert.equal(knowsEnd({ components: { 0: one } }, ended), false);
  assert.equal(knowsEnd({ components: { 0: one, 1: { state: "RUNNING" } } }, ended), false);
  assert.equal(knowsEnd({ components: { 0: one, 1: one } }, ended), true);
});

Deno.test("what accounting does not know of an end is the report's", () => {
  const failed = report("FAILED", { exitCode: 200, signal: 0, submit: END - 9, start: END - 5 });
  const times = {
    submit: "2026-11-22T15:02:10Z",
    start: "2026-11-22T15:02:14Z",
    end: "2026-11-22T15:02:19Z",
  };
  const ending = { state: "FAILED", exit_code: 200, signal: 0 };
  assert.deepEqual(withReport(undefined, failed), { ...times, ...ending });
  assert.deepEqual(
    withReport(
      { state: "RUNNING", exit_code: 0, elapsed_seconds: 3, cpu_seconds: 1, partition: "p" },
      failed,
    ),
    { partition: "p", ...times, ...ending },
  );
  // Else accounting's word counts, but for the exit code.
  const whole = { state: "FAILED", exit_code: 72, elapsed_seconds: 5, ...times, start: "sooner" };
  assert.deepEqual(withReport(whole, failed), { ...whole, exit_code: 200, signal: 0 });
});

Deno.test("of an array whose end accounting does not know the tasks are the report's", () => {
  const failed = report("FAILED", {
    tasks: [group("COMPLETED", "0-2", 3), group("FAILED", "3", 1)],
  });
  const lines = ["1 6 COMPLETED 0:0 2 1 - n1", "2 7 RUNNING 0:0 2 1 - n1"];
  const { end: _, ...rest } = withReport({
    partition: "p",
    task_count: 2,
    start: "2026-11-22T15:02:00Z",
    task_states: { COMPLETED: "1", RUNNING: "2", TIMEOUT: "8" },
    tasks: lines,
    cpu_seconds: 3,
  }, { ...failed, start: END - 60 });
  assert.deepEqual(rest, {
    partition: "p",
    start: "2026-11-22T15:01:19Z",
    task_count: 5,
    // One of them was finished before, in a part.
    task_states: { TIMEOUT: "8", COMPLETED: "0-2", FAILED: "3" },
    tasks: lines.slice(0, 1),
  });
  // sacct shows an array as its last task for a second.
  assert.deepEqual(withReport({ state: "COMPLETED", job_id: "5", exit_code: 0 }, failed), {
    end: "2026-11-22T15:02:19Z",
    task_count: 4,
    task_states: { COMPLETED: "0-2", FAILED: "3" },
    tasks: [],
  });
});

Deno.test("of components whose end accounting does not know the states are the report's", () => {
  const failed = report("FAILED", {
    components: [group("COMPLETED", "0", 1), group("FAILED", "1-2", 2)],
  });
  const { end: _, ...rest } = withReport({
    partition: "p",
    components: {
      0: { state: "COMPLETED", elapsed_seconds: 5 },
      1: { state: "RUNNING", elapsed_seconds: 4, nodes: 2, allocated_cpus: 0 },
    },
  }, failed);
  assert.deepEqual(rest, {
    partition: "p",
    components: {
      0: { state: "COMPLETED", elapsed_seconds: 5 },
      1: { state: "FAILED", nodes: 2 },
      2: { state: "FAILED" },
    },
  });
});

Deno.test("a state that was assumed is no end that accounting could know of", () => {
  const assumed = report("COMPLETED", { assumed: true });
  assert.deepEqual(withReport({ state: "RUNNING", partition: "p" }, assumed), {
    state: "RUNNING",
    partition: "p",
  });
  assert.deepEqual(withReport(undefined, assumed), {});
});

Deno.test("the accounting of a later job that has got the id again is not this one's", () => {
  const ours = report("COMPLETED", { exitCode: 0, signal: 0, submit: END - 90_000 });
  const other = {
    state: "FAILED",
    exit_code: 1,
    submit: new Date(END * 1000).toISOString(),
    node_list: "n99",
    elapsed_seconds: 9,
  };
  const { submit, end, ...told } = withReport(other, ours);
  assert.deepEqual(told, { state: "COMPLETED", exit_code: 0, signal: 0 });
  assert.deepEqual([submit, end], ["2026-11-21T14:02:19Z", "2026-11-22T15:02:19Z"]);
  const sameTime = { ...other, submit: new Date((END - 90_000) * 1000).toISOString() };
  assert.equal(withReport(sameTime, ours).node_list, "n99");
});
