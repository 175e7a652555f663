import assert from "node:assert/strict";
import {
  hasFiles,
  reportOfOpenTasks,
  reportOfPart,
  settlePart,
} from "../../lib/commands/array_parts.ts";
import {
  finishedNames,
  finishedTasks,
  finishName,
  openAfter,
  type RecordedJob,
} from "../../lib/dataset/history.ts";
import { coveredBy, placesBefore, placesOf, reservedPath } from "../../lib/dataset/task_paths.ts";
import { ToolError } from "../../lib/errors.ts";
import { decodeMessage, encodeMessage } from "../../lib/record/message.ts";
import { IndexSet } from "../../lib/slurm/array.ts";
import type { JobReport } from "../../lib/slurm/report.ts";

const COMMIT = "c".repeat(40);

function recorded(kind: RecordedJob["kind"], part: Record<string, unknown> = {}): RecordedJob {
  return {
    commit: COMMIT,
    kind,
    jobId: "45",
    message: undefined,
    state: "Pending",
    record: {
      chain: [],
      cmd: "sbatch a.sh",
      extra_inputs: [],
      inputs: [],
      outputs: ["out/%a"],
      pwd: ".",
      slurm_job_id: "45",
      datalad_slurm: { version: 1, token: "t1", job: { array: "0-5" }, ...part },
    },
  };
}

const submitted = recorded("schedule");

function afterParts(...parts: Record<string, unknown>[]): RecordedJob {
  const [job, ...others] = openAfter([submitted, ...parts.map((part) => recorded("part", part))]);
  assert(job !== undefined && others.length === 0);
  return job;
}

Deno.test("an array stays open after parts, whatever tasks they finish, until its finish", () => {
  const job = afterParts(
    { array_tasks: "0-2", task_states: { COMPLETED: "0,2", FAILED: "1" }, closed_tasks: "1" },
    // Twice, as two branches may have it that were merged.
    { array_tasks: "2-5", task_states: { COMPLETED: "2-5" } },
  );
  assert.equal(`${finishedTasks(job)}`, "0-5");
  assert.deepEqual(job.finished, { states: { COMPLETED: "0,2-5", FAILED: "1" }, closed: "1" });
  assert.deepEqual(
    openAfter([submitted, recorded("part", { array_tasks: "0-5" }), recorded("finish")]),
    [],
  );
});

Deno.test("a finish that was cut short is told from the part before it", () => {
  const names = finishedNames([submitted, recorded("part", { array_tasks: "0-2" })]);
  assert(names.has(finishName("t1", "0-2")));
  assert(!names.has(finishName("t1", "0-3")), "other tasks of the array");
  assert(!names.has(finishName("t1")), "the array as a whole");
});

Deno.test("a part of an unknown job opens nothing", () => {
  assert.deepEqual(openAfter([recorded("part", { array_tasks: "0" })]), []);
});

Deno.test("the part after which no task is open is the last", () => {
  const planned = (states: Record<string, string>, closed = "") => ({
    states,
    closed: IndexSet.of(closed),
    all: IndexSet.of("0-5"),
  });
  const job = afterParts({ array_tasks: "0-3", state: "COMPLETED" });
  const some = settlePart(job, planned({ COMPLETED: "2-4" }));
  assert.deepEqual([`${some?.tasks}`, some?.isLast], ["4", false]);
  const last = settlePart(job, planned({ COMPLETED: "4", FAILED: "5" }));
  assert.deepEqual([`${last?.tasks}`, last?.isLast], ["4-5", true]);
  assert.equal(settlePart(job, planned({ COMPLETED: "1-3" })), undefined);
  const closing = settlePart(job, planned({ FAILED: "4-5" }, "4-5"));
  assert(closing !== undefined && hasFiles(job, closing), "shared outputs of the earlier parts");
  const nothing = settlePart(submitted, planned({ FAILED: "0-5" }, "0-5"));
  assert(nothing !== undefined && !hasFiles(submitted, nothing));
  const unknown = settlePart(job, { ...planned({ COMPLETED: "4-5" }), all: undefined });
  assert.equal(unknown?.isLast, false, "which tasks there are is not known");
});

Deno.test("reports are on the tasks that are open, on those of a part, and on all in the end", () => {
  const job = afterParts({ array_tasks: "1", state: "FAILED" });
  const report: JobReport = {
    jobId: "45",
    phase: "failed",
    state: "FAILED",
    tasks: [
      { state: "COMPLETED", phase: "completed", indices: "0,2-5", count: 5 },
      { state: "FAILED", phase: "failed", indices: "1", count: 1 },
    ],
  };
  const open = reportOfOpenTasks(job, report);
  assert.deepEqual([open.phase, open.state, open.tasks?.length], ["completed", "COMPLETED", 1]);
  const part = { tasks: IndexSet.of("0,2"), closed: new IndexSet(), isLast: false };
  const own = reportOfPart(job, open, part);
  assert.deepEqual([own.state, own.tasks?.[0]?.indices], ["COMPLETED", "0,2"]);
  const all = reportOfPart(job, open, { ...part, tasks: IndexSet.of("0,2-5"), isLast: true });
  assert.deepEqual(
    [all.state, all.tasks?.map(({ indices }) => indices)],
    ["FAILED", ["0,2-5", "1"]],
  );
});

function message(tasks: string, subject = tasks): string {
  const { record } = recorded("part", { array_tasks: tasks, state: "COMPLETED" });
  const { datalad_slurm } = record;
  assert(datalad_slurm !== undefined);
  return encodeMessage({
    kind: "finish",
    jobId: "45",
    tasks: subject,
    record: { ...record, datalad_slurm },
  });
}

Deno.test("the subject of a part names its tasks as Slurm does", () => {
  const subjects = ["3", "0-4,7", [...Array(60).keys()].map((index) => index * 2).join(",")]
    .map((tasks) => message(tasks).split("\n")[0]);
  assert.deepEqual(subjects, [
    "[DATALAD FINISH] Processed batch job 45_3: Complete",
    "[DATALAD FINISH] Processed batch job 45_[0-4,7]: Complete",
    "[DATALAD FINISH] Processed batch job 45_[0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34," +
    "36,38,40,42,44,...]: Complete",
  ]);
});

Deno.test("what a part's subject says must be what its record says", () => {
  for (const tasks of ["3", "0-4,7", [...Array(60).keys()].map((index) => index * 2).join(",")]) {
    const decoded = decodeMessage(COMMIT, message(tasks));
    assert(decoded !== undefined && "record" in decoded);
    assert.equal(decoded.jobId, "45");
    assert.equal(decoded.record.datalad_slurm?.array_tasks, tasks);
    assert.notEqual(decoded.tasks, undefined);
  }
  for (const [shown, reason] of [["4", /names the tasks 4/], ["0-", /tasks 0- and its/]] as const) {
    assert.throws(() => decodeMessage(COMMIT, message("0-4,7", shown)), (error: unknown) => {
      return error instanceof ToolError && reason.test(error.message);
    });
  }
  const bad = message("3").replace("45_3:", "45_x:");
  assert.throws(() => decodeMessage(COMMIT, bad), /names no job/);
  const scheduled = message("3").replace("FINISH] Processed", "SCHEDULE] Submitted");
  assert.throws(() => decodeMessage(COMMIT, scheduled), /names no job/);
});

Deno.test("an output reserves what stands before its first field or wildcard", () => {
  assert.deepEqual(
    ["out/%a.csv", "a/b/c-%A/%a", "a/%3a", "%a", "a/50%%a", "a/100%", "a/*/%a", "a/%j"]
      .map(reservedPath),
    ["out", "a/b", "a", ".", "a/50%a", "a/100%", "a", "a/%j"],
  );
});

Deno.test("outputs are filled in for each task", () => {
  const places = {
    jobId: "45",
    outputs: ["out/%a.csv", "x/%A-%3a/*", "all%%", "log-%A"],
    tasks: IndexSet.of("7,12"),
    withShared: true,
  };
  assert.deepEqual(placesOf(places), [
    "out/7.csv",
    "out/12.csv",
    "x/45-007/*",
    "x/45-012/*",
    "all%",
    "log-45",
  ]);
  assert.deepEqual(placesOf({ ...places, tasks: IndexSet.of("7"), withShared: false }), [
    "out/7.csv",
    "x/45-007/*",
  ]);
  const covers = coveredBy({ ...places, withShared: false });
  for (const path of ["out/7.csv", "out/12.csv/below", "x/45-007/a", "x/45-012/a/b"]) {
    assert(covers(path), path);
  }
  for (const path of ["out/71.csv", "out/1.csv", "x/45-7/a", "x/46-007/a", "all%", "log-45"]) {
    assert(!covers(path), path);
  }
  assert.deepEqual(placesBefore(places.outputs, IndexSet.of("3")), ["out/3.csv", "all%"]);
  assert.deepEqual(placesBefore(places.outputs, undefined), ["out/[0-9]*.csv", "all%"]);
});
