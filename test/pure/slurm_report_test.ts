import assert from "node:assert/strict";
import fc from "fast-check";
import { Accounts } from "../../lib/slurm/account.ts";
import { fromSession, fromSubmitLines } from "../../lib/slurm/recover.ts";
import {
  gather,
  type JobQuery,
  type JobReport,
  needsController,
  report,
  type Source,
  type StateRow,
} from "../../lib/slurm/report.ts";
import { AlikeRows } from "../../lib/slurm/alike.ts";
import { parseReference } from "../../lib/slurm/fields.ts";
import { classifyState } from "../../lib/slurm/states.ts";
import type { TableRow } from "../../lib/slurm/table.ts";

const SUBMIT = 1_795_359_739;

function row(id: string, state: string, source: Source = "sacct", submit = SUBMIT): StateRow {
  const reference = parseReference(id);
  assert.ok(reference);
  return {
    source,
    reference,
    rawId: undefined,
    state: classifyState(state),
    exit: source === "squeue" ? undefined : { code: 0, signal: 0 },
    submit,
    start: undefined,
    end: submit + 10,
    reason: undefined,
  };
}

function judge(query: Partial<JobQuery>, rows: StateRow[], asked = false): JobReport {
  return report(gather({ jobId: "5", ...query }, rows), asked, []);
}

function accountsOf(rows: TableRow[], ...about: ConstructorParameters<typeof Accounts>) {
  const accounts = new Accounts(...about);
  for (const row of rows) accounts.add(row);
  return accounts.result();
}

Deno.test("a heterogeneous job is over when each of its components is", () => {
  const first = row("5+0", "COMPLETED");
  const gone = judge({ components: 2 }, [first], true);
  assert.equal(gone.phase, "unknown");
  assert.match(gone.reason ?? "", /^No state is known of 1 component \(1\)$/);
  assert.equal(needsController(gather({ jobId: "5", components: 2 }, [first])), true);
  const both = [first, row("5+1", "FAILED")];
  assert.equal(needsController(gather({ jobId: "5", components: 2 }, both)), false);
  assert.equal(judge({ components: 2 }, both).state, "FAILED");
  // Of a record that does not tell how many there are they count as found.
  assert.equal(judge({}, [first], true).phase, "completed");
  assert.equal(judge({ components: 1e9 }, [first], true).phase, "completed");
});

Deno.test("no row is unknown, whoever was asked", () => {
  assert.equal(judge({}, [], true).phase, "unknown");
  assert.equal(judge({ expected: "0-3" }, [], true).phase, "unknown");
  assert.equal(needsController(gather({ jobId: "5" }, [])), true);
});

Deno.test("a plain terminal state needs nobody else", () => {
  assert.equal(needsController(gather({ jobId: "5" }, [row("5", "COMPLETED")])), false);
  assert.equal(judge({}, [row("5", "COMPLETED")]).phase, "completed");
  assert.equal(judge({}, [row("5", "TIMEOUT")]).state, "TIMEOUT");
});

Deno.test("a node failure is final only when the controller does not have the job live", () => {
  const failed = [row("5", "NODE_FAIL")];
  assert.equal(needsController(gather({ jobId: "5" }, failed)), true);
  assert.equal(judge({}, failed).phase, "unknown");
  assert.match(judge({}, failed).reason ?? "", /NODE_FAIL .*requeued/);
  assert.equal(judge({}, failed, true).phase, "failed");
  assert.equal(judge({}, [...failed, row("5", "PENDING", "squeue")], true).phase, "pending");
});

Deno.test("a word that is not known is unknown and said so", () => {
  const answer = judge({}, [row("5", "HIBERNATING")], true);
  assert.equal(answer.phase, "unknown");
  assert.match(answer.reason ?? "", /"HIBERNATING"/);
});

Deno.test("an array is over only when every expected index has a terminal row", () => {
  const most = [0, 1, 2].map((task) => row(`5_${task}`, "COMPLETED"));
  const open = judge({ expected: "0-3" }, most, true);
  assert.equal(open.phase, "unknown");
  assert.deepEqual(open.tasks?.map(({ state, indices }) => `${state} ${indices}`), [
    "COMPLETED 0-2",
    "UNKNOWN 3",
  ]);
  assert.match(open.reason ?? "", /1 array task \(3\)/);
  assert.equal(judge({ expected: "0-3" }, [...most, row("5_3", "COMPLETED")]).phase, "completed");
  const failed = judge({ expected: "0-3%1" }, [...most, row("5_3", "OUT_OF_MEMORY")]);
  assert.equal(`${failed.phase} ${failed.state}`, "failed OUT_OF_MEMORY");
  assert.equal(judge({ expected: "0-3" }, [...most, row("5_3", "RUNNING")]).phase, "running");
  assert.equal(judge({ expected: "0-3" }, [...most, row("5_[3]", "PENDING")]).phase, "pending");
});

Deno.test("a row of another kind is no answer on an array", () => {
  assert.equal(judge({ expected: "0-1" }, [row("5", "COMPLETED")], true).phase, "unknown");
  assert.equal(judge({ expected: "0" }, [row("5_7", "COMPLETED")], true).phase, "unknown");
});

Deno.test("an array of unknown size is over only when the controller was asked", () => {
  const rows = [row("5_0", "COMPLETED"), row("5_1", "COMPLETED")];
  assert.equal(judge({}, rows).phase, "unknown");
  assert.equal(judge({}, rows, true).phase, "completed");
});

Deno.test("a task's own row counts before that of the tasks not yet started", () => {
  for (const order of [1, -1]) {
    const rows = [row("5_[0-2]", "CANCELLED"), row("5_0", "COMPLETED")];
    const answer = judge({ expected: "0-2" }, order === 1 ? rows : rows.toReversed());
    assert.deepEqual(answer.tasks?.map(({ state, indices }) => `${state} ${indices}`), [
      "CANCELLED 1-2",
      "COMPLETED 0",
    ]);
  }
});

Deno.test("the tasks of a list that Slurm has cut are all that is left", () => {
  const rows = [row("5_0", "COMPLETED"), row("5_[1,3,1...]", "CANCELLED")];
  assert.equal(judge({ expected: "0-99" }, rows).tasks?.[0]?.indices, "1-99");
});

Deno.test("a row from long before the submission is an earlier use of the id", () => {
  const submittedAt = new Date((SUBMIT + 3600) * 1000);
  assert.equal(judge({ submittedAt }, [row("5", "COMPLETED")], true).phase, "unknown");
  const clock = new Date((SUBMIT + 60) * 1000);
  assert.equal(judge({ submittedAt: clock }, [row("5", "COMPLETED")]).phase, "completed");
});

Deno.test("a row from long after the submission is a later use of the id, unless of a requeue", () => {
  const year = SUBMIT + 365 * 86400;
  const slurmSubmit = new Date(SUBMIT * 1000);
  const judgeOurs = (...rows: StateRow[]) => judge({ slurmSubmit }, rows, true);
  const gone = judgeOurs(row("5", "COMPLETED", "sacct", year));
  assert.equal(gone.phase, "unknown");
  assert.match(gone.reason ?? "", /used the id again, for a job submitted at 2027-/);
  assert.equal(judgeOurs(row("5", "RUNNING", "squeue", year)).phase, "unknown");
  const ours = judgeOurs(row("5", "FAILED"), row("5", "COMPLETED", "sacct", year));
  assert.deepEqual([ours.phase, ours.requeuedAfter], ["failed", undefined]);
  const runaway = judgeOurs(row("5", "RUNNING"), row("5", "RUNNING", "squeue", year));
  assert.equal(runaway.phase, "unknown");

  const soon = SUBMIT + 60;
  const requeued = judgeOurs(row("5", "FAILED"), row("5", "COMPLETED", "sacct", soon));
  assert.deepEqual([requeued.phase, requeued.requeuedAfter], ["completed", "FAILED"]);
  assert.equal(
    judgeOurs(row("5", "REQUEUED"), row("5", "RUNNING", "squeue", year)).phase,
    "running",
  );
  const restarted = { ...row("5", "RUNNING", "scontrol", soon), restarts: 1 };
  assert.equal(judgeOurs(row("5", "RUNNING", "squeue", soon), restarted).phase, "running");
});

Deno.test("of several rows of one job the one submitted last counts", () => {
  const rows = [row("5", "COMPLETED", "sacct", SUBMIT + 9), row("5", "REQUEUED", "sacct", SUBMIT)];
  assert.equal(judge({}, rows).phase, "completed");
});

Deno.test("what is live in accounting alone is a runaway, and never running for ever", () => {
  const running = [row("5", "RUNNING")];
  assert.equal(needsController(gather({ jobId: "5" }, running)), true);
  assert.equal(judge({}, running).phase, "running");
  const runaway = judge({}, running, true);
  assert.deepEqual([runaway.phase, runaway.state], ["unknown", "UNKNOWN"]);
  assert.match(
    runaway.reason ?? "",
    /^Accounting has RUNNING, but slurmctld does not know the job/,
  );
  assert.equal(judge({}, [...running, row("5", "RUNNING", "squeue")], true).phase, "running");
  const tasks = [row("5_0", "COMPLETED"), row("5_[1-2]", "PENDING")];
  assert.deepEqual(
    judge({ expected: "0-2" }, tasks, true).tasks?.map(({ state, indices }) =>
      `${state} ${indices}`
    ),
    ["COMPLETED 0", "UNKNOWN 1-2"],
  );
});

Deno.test("when slurmctld gives no answer, accounting's live state is shown with the reason", () => {
  const gathered = gather({ jobId: "5" }, [row("5", "RUNNING")]);
  const answer = report(gathered, false, ["squeue cannot reach slurmctld"]);
  assert.deepEqual([answer.phase, answer.reason], ["running", "squeue cannot reach slurmctld"]);
});

Deno.test("a job that was requeued says after what", () => {
  const again = SUBMIT + 60;
  const table: [StateRow[], string | undefined][] = [
    [[row("5", "PENDING")], undefined],
    [[row("5", "RUNNING"), row("5", "COMPLETED", "squeue")], undefined],
    [[row("5", "NODE_FAIL"), row("5", "PENDING", "squeue", again)], "NODE_FAIL"],
    [[row("5", "PREEMPTED"), row("5", "RUNNING", "sacct", again)], "PREEMPTED"],
    [[row("5", "REQUEUED"), row("5", "PENDING", "squeue")], "REQUEUED"],
    [[row("5", "REQUEUED"), row("5", "COMPLETED", "sacct", again)], "REQUEUED"],
    [
      [row("5", "NODE_FAIL"), row("5", "PENDING", "sacct", again), row("5", "RUNNING", "squeue")],
      "NODE_FAIL",
    ],
  ];
  for (const [rows, word] of table) assert.equal(judge({}, rows, true).requeuedAfter, word);
});

Deno.test("the controller ends what accounting still calls running", () => {
  const rows = [row("5", "RUNNING"), row("5", "FAILED", "squeue")];
  assert.equal(judge({}, rows, true).phase, "failed");
});

Deno.test("twenty thousand tasks are judged and written as ranges", () => {
  const rows = Array.from(
    { length: 20_000 },
    (_, task) => row(`5_${task}`, task === 77 ? "FAILED" : "COMPLETED"),
  );
  assert.deepEqual(judge({ expected: "0-19999" }, rows).tasks, [
    { state: "COMPLETED", phase: "completed", indices: "0-76,78-19999", count: 19_999 },
    { state: "FAILED", phase: "failed", indices: "77", count: 1 },
  ]);
});

Deno.test("accounting adds up what steps used and names units", () => {
  const rows = [
    {
      JobID: "5",
      JobIDRaw: "5",
      State: "CANCELLED by 1000",
      ExitCode: "0:15",
      Submit: "1795359739",
      Start: "Unknown",
      ElapsedRaw: "61",
      TimelimitRaw: "2",
      AllocCPUS: "4",
      ReqCPUS: "3",
      ReqMem: "2Gc",
      MaxRSS: "",
      TotalCPU: "01:00.500",
      NNodes: "1",
      NodeList: "n1",
      Priority: "100",
    },
    { JobID: "5.batch", JobIDRaw: "5.batch", State: "CANCELLED", MaxRSS: "2M" },
    {
      JobID: "5.0",
      JobIDRaw: "5.0",
      State: "CANCELLED",
      MaxRSS: "812K",
      AveRSS: "700K",
      NTasks: "4",
    },
    {
      JobID: "5.1",
      JobIDRaw: "5.1",
      State: "CANCELLED",
      MaxRSS: "1K",
      AveRSS: "1K",
      NTasks: "1",
    },
    { JobID: "6", JobIDRaw: "6", State: "COMPLETED" },
  ];
  assert.deepEqual(accountsOf(rows, new Set(["5"])).get("5"), {
    job_id: "5",
    priority: 100,
    state: "CANCELLED",
    exit_code: 0,
    signal: 15,
    submit: "2026-11-22T15:02:19Z",
    elapsed_seconds: 61,
    time_limit_seconds: 120,
    cpu_seconds: 60.5,
    max_rss_bytes: 2 * 1024 ** 2,
    step_rss_bytes: 2800 * 1024,
    requested_cpus: 3,
    allocated_cpus: 4,
    requested_memory_bytes: 8 * 1024 ** 3,
    nodes: 1,
    node_list: "n1",
  });
  // So slurmdbd has it for a while, also after the end.
  const early = { JobID: "5", JobIDRaw: "5", State: "COMPLETED", ReqCPUS: "0", Priority: "0" };
  assert.deepEqual(accountsOf([early], new Set(["5"])).get("5"), {
    job_id: "5",
    state: "COMPLETED",
  });
  const later = new Map([["5", SUBMIT + 1000]]);
  assert.equal(accountsOf(rows, new Set(["5"]), later).get("5"), undefined);
});

Deno.test("of very many tasks those that did not complete have a line, the longest and the largest", () => {
  const rows = Array.from({ length: 2000 }, (_, task) => [
    {
      JobID: `5_${task}`,
      JobIDRaw: String(100 + task),
      State: task === 9 ? "FAILED" : "COMPLETED",
      ExitCode: task === 9 ? "3:0" : "0:0",
      ElapsedRaw: task === 1700 ? "4" : "2",
    },
    { JobID: `5_${task}.batch`, MaxRSS: task === 1300 ? "8" : "7" },
  ]).flat().map((row) => ({ JobIDRaw: "1", ...row }));
  const account = accountsOf(rows, new Set(["5"])).get("5");
  assert.equal(account?.elapsed_seconds, 4002);
  assert.deepEqual(account?.task_states, { COMPLETED: "0-8,10-1999", FAILED: "9" });
  assert.deepEqual(account?.tasks, [
    "9 109 FAILED 3:0 2 - 7 -",
    "1300 1400 COMPLETED 0:0 2 - 8 -",
    "1700 1800 COMPLETED 0:0 4 - 7 -",
  ]);
});

Deno.test("jobs of the queue are found by session and time only", () => {
  const queue = [
    "CLUSTER: test",
    `7   login1   4700   ${SUBMIT}   test`,
    `8   login1   4701   ${SUBMIT}   test`,
    `9_3   login2   4700   ${SUBMIT}   test`,
    `9_4   login2   4700   ${SUBMIT}   test   FAILED   BadConstraints`,
    `6   login1   4700   ${SUBMIT - 5000}   test`,
    "4700",
    "",
  ].join("\n");
  assert.deepEqual(fromSession(queue, 4700, SUBMIT - 10), [
    { jobId: "7", host: "login1", cluster: "test", submit: SUBMIT, isRefused: false },
    { jobId: "9", host: "login2", cluster: "test", submit: SUBMIT, isRefused: true },
  ]);
});

Deno.test("jobs in accounting are found by the token in a submit line of several lines", () => {
  const line = (id: string, submit: string) =>
    `${id}\x1ftest\x1f${SUBMIT}\x1f${submit}\x1f${id.replace(/\D.*/, "")}\n`;
  const stdout = line("7_0", "tok=1/sbatch --wrap a\nb|c") + line("7_1", "tok=1/sbatch --wrap x") +
    line("8", "tok=12/sbatch") + line("9", "sbatch");
  assert.deepEqual(fromSubmitLines(stdout, "tok=1/", 0), [{ jobId: "7", cluster: "test" }]);
  assert.deepEqual(fromSubmitLines(stdout, "tok=1/", SUBMIT + 1), []);
});

Deno.test("rows that are alike are one row, and the report is the same", () => {
  const id = fc.oneof(
    { weight: 8, arbitrary: fc.nat(5).map((task) => `5_${task}`) },
    fc.constantFrom("5_[3-6]", "7_1"),
  );
  const rowFrom = (source: Source) =>
    fc.record({
      id,
      state: fc.constantFrom("COMPLETED", "FAILED", "NODE_FAIL", "REQUEUED", "RUNNING", "PENDING"),
      submit: fc.constantFrom(SUBMIT, SUBMIT + 100, SUBMIT + 200),
      exit: fc.constantFrom(undefined, { code: 0, signal: 0 }, { code: 3, signal: 0 }),
      reason: fc.constantFrom(undefined, undefined, "Resources"),
    }).map(({ id, state, submit, ...said }) => ({ ...row(id, state, source, submit), ...said }));
  const answers = fc.tuple(
    ...(["sacct", "squeue", "scontrol"] as const).map((source) =>
      fc.array(rowFrom(source), { maxLength: 12 })
    ),
  );
  const query = fc.record({
    expected: fc.constant("0-5"),
    slurmSubmit: fc.constant(new Date((SUBMIT + 50) * 1000)),
  }, { requiredKeys: [] });
  fc.assert(
    fc.property(answers, query, fc.boolean(), (answers, query, asked) => {
      const alike = answers.flatMap((rows) => {
        const kept = new AlikeRows("5");
        for (const one of rows) kept.add(one);
        return kept.rows();
      });
      // Which of several programs, tasks' reasons and earlier runs is named is left open.
      const settled = ({ source: _, reason, requeuedAfter: __, ...rest }: JobReport) => ({
        ...rest,
        hasReason: reason !== undefined,
      });
      assert.deepEqual(
        settled(judge(query, alike, asked)),
        settled(judge(query, answers.flat(), asked)),
      );
    }),
    { numRuns: 1000 },
  );
});

Deno.test("an array takes as many rows as its tasks have states, with its first start and last end", () => {
  const kept = new AlikeRows("5");
  for (let task = 0; task < 20_000; task++) {
    const one = row(`5_${task}`, task % 2 === 0 ? "COMPLETED" : "TIMEOUT");
    kept.add({ ...one, start: SUBMIT + 7 + task % 31, end: SUBMIT + 100 + task % 37 });
  }
  assert.equal(kept.rows().length, 2);
  const answer = judge({ expected: "0-19999" }, kept.rows());
  assert.deepEqual(answer.tasks?.map(({ state, count }) => [state, count]), [
    ["COMPLETED", 10_000],
    ["TIMEOUT", 10_000],
  ]);
  assert.equal(answer.start, SUBMIT + 7);
  assert.equal(answer.end, SUBMIT + 136);
});

Deno.test("a task that one answer names twice is as its later row says", () => {
  const kept = new AlikeRows("5");
  for (const id of ["5_0", "5_1"]) kept.add(row(id, "NODE_FAIL"));
  for (const id of ["5_1", "5_0"]) kept.add(row(id, "COMPLETED", "sacct", SUBMIT + 60));
  kept.add(row("5_1", "FAILED", "sacct", SUBMIT + 90));
  const answer = judge({ expected: "0-1" }, kept.rows(), true);
  assert.deepEqual(answer.tasks?.map(({ state, indices }) => [state, indices]), [
    ["COMPLETED", "0"],
    ["FAILED", "1"],
  ]);
  assert.equal(kept.rows().length, 3);
  const tie = new AlikeRows("5");
  for (const id of ["5_1", "5_0"]) tie.add(row(id, id === "5_1" ? "COMPLETED" : "RUNNING"));
  tie.add(row("5_0", "COMPLETED"));
  assert.equal(judge({ expected: "0-1" }, tie.rows(), true).phase, "completed");
});

Deno.test("accounting of an array has each task's steps, and of a task that is named twice one row", () => {
  const rows = [
    { JobID: "5_0", JobIDRaw: "6", State: "COMPLETED", ElapsedRaw: "2", NNodes: "1" },
    { JobID: "5_0.batch", JobIDRaw: "6.batch", State: "COMPLETED", MaxRSS: "3K" },
    { JobID: "5_0.0", JobIDRaw: "6.0", State: "COMPLETED", MaxRSS: "9K" },
    { JobID: "5_1", JobIDRaw: "5", State: "FAILED", ElapsedRaw: "3", NNodes: "1" },
    { JobID: "5_1.batch", JobIDRaw: "5.batch", State: "FAILED", MaxRSS: "4K" },
    { JobID: "5_1", JobIDRaw: "5", State: "RESIZING", ElapsedRaw: "1" },
    { JobID: "5_[2-3%1]", JobIDRaw: "7", State: "PENDING", NNodes: "1" },
  ];
  assert.deepEqual(accountsOf(rows, new Set(["5"])).get("5"), {
    elapsed_seconds: 5,
    max_rss_bytes: 9 * 1024,
    nodes: 1,
    task_count: 2,
    task_states: { COMPLETED: "0", FAILED: "1", PENDING: "2-3" },
    tasks: ["0 6 COMPLETED - 2 - 9216 -", "1 5 FAILED - 3 - 4096 -"],
  });
});
