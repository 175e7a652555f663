import assert from "node:assert/strict";
import { Accounts } from "../../lib/slurm/account.ts";
import { countIndices, formatRanges, indices, parseArraySpec } from "../../lib/slurm/array.ts";
import { classifyFailure, type Outcome } from "../../lib/slurm/outcome.ts";
import { parseReference, parseTime } from "../../lib/slurm/fields.ts";
import { expandPattern } from "../../lib/slurm/patterns.ts";
import { fromSubmitLines } from "../../lib/slurm/recover.ts";
import { gather, type JobReport, report } from "../../lib/slurm/report.ts";
import { refusedColumn, sacctStateRow } from "../../lib/slurm/sacct.ts";
import { parseScontrolJobs, type ScontrolJob } from "../../lib/slurm/scontrol.ts";
import { squeueStateRow } from "../../lib/slurm/squeue.ts";
import { classifyState, isLive } from "../../lib/slurm/states.ts";
import { parseSubmissions, saysTestOnly } from "../../lib/slurm/submission.ts";
import { parseTable } from "../../lib/slurm/table.ts";
import { readSample, sampleNames, sampleRows } from "../support/slurm_sample.ts";

type Check = (name: string) => void;

/** What sbatch printed names this job (and cluster), whatever its exit code. */
const submitted = (code: number, jobId: string, cluster?: string): Check => (name) => {
  const sample = readSample(name);
  assert.equal(sample.code, code);
  assert.deepEqual(
    parseSubmissions(sample.stdout).submissions.at(-1),
    cluster === undefined ? { jobId } : { jobId, cluster },
  );
};

/** sbatch named no job. */
const noId = (code: number): Check => (name) => {
  const sample = readSample(name);
  assert.equal(sample.code, code);
  assert.equal(parseSubmissions(sample.stdout).submissions.at(-1), undefined);
  assert.equal(saysTestOnly(sample.stderr), false);
};

/** A query failed as a whole, and why is understood. */
const fails = (outcome: Outcome): Check => (name) => {
  const sample = readSample(name);
  assert.notEqual(sample.code, 0);
  assert.equal(classifyFailure(sample.stderr), outcome);
  assert.deepEqual(parseScontrolJobs(sample.stdout), []);
};

/** The records of scontrol, as far as named here. */
const records = (...expected: Partial<ScontrolJob>[]): Check => (name) => {
  const jobs = parseScontrolJobs(readSample(name).stdout);
  assert.equal(jobs.length, expected.length);
  expected.forEach((fields, at) => {
    const job = jobs[at];
    assert.ok(job);
    for (const [key, value] of Object.entries(fields)) {
      assert.deepEqual(job[key as keyof ScontrolJob], value, `${key} of job ${job.jobId}`);
    }
  });
};

/**
 * The reports that sacct rows of a sample with a header give, slurmctld having nothing to add on
 * jobs that are over, and not being asked about the others.
 */
const reports = (expected: Record<string, Partial<JobReport>>): Check => (name) => {
  const rows = sampleRows(name).flatMap((row) => sacctStateRow(row) ?? []);
  for (const [jobId, fields] of Object.entries(expected)) {
    const own = rows.filter(({ reference }) => reference.jobId === jobId);
    const isLiveJob = own.some(({ state }) => isLive(state.phase));
    const answer = report(gather({ jobId }, own), !isLiveJob, []);
    for (const [key, value] of Object.entries(fields)) {
      assert.deepEqual(answer[key as keyof JobReport], value, `${key} of job ${jobId}`);
    }
  }
};

/** The values of a table without header. */
const table = (delimiter: string, columns: string[], expected: string[][]): Check => (name) => {
  const rows = parseTable(readSample(name).stdout, columns, delimiter);
  assert.deepEqual(rows.map((row) => columns.map((column) => row[column])), expected);
};

const nothing: Check = (name) => {
  const sample = readSample(name);
  assert.equal(sample.code, 0);
  assert.deepEqual(sampleRows(name), []);
};

const silent = (code: number): Check => (name) => {
  const sample = readSample(name);
  assert.equal(sample.code, code);
  assert.equal(sample.stdout, "");
};

const HOSTILE_SUBMIT = `sbatch --parsable --job-name=a b=c JobState=FAILED --comment=x=1 y|z
   JobState=FAKE Reason=None
end -o o ut/%x-%j=.out my scr=ipt.sh arg 1 --k=v w`;

const HOSTILE_RECORD: Partial<ScontrolJob> = {
  jobId: "495",
  state: "COMPLETED",
  jobName: "a b=c JobState=FAILED",
  workDir: "/data/run dir",
  command: "/data/run dir/my scr=ipt.sh arg 1 --k=v w",
  stdOut: "/data/run dir/o ut/a b=c JobState=FAILED-495=.out",
  stdErr: "/data/run dir/o ut/a b=c JobState=FAILED-495=.out",
  timeLimitSeconds: 365 * 86400,
};

const TASKS_DONE = [
  { state: "COMPLETED", phase: "completed", indices: "0,3", count: 2 },
  { state: "FAILED", phase: "failed", indices: "1-2,4-5", count: 4 },
] as const;

const CHECKS: Record<string, Check> = {
  "array_grammar_22.05.8": (name) => {
    for (const { given, normal } of grammar(readSample(name).stdout)) {
      const spec = parseArraySpec(given);
      // 20001 is that cluster's MaxArraySize, which a specification does not show.
      if (given === "0-20001") continue;
      if (given === "" || normal === undefined) assert.equal(spec, undefined, given);
      else {
        assert.ok(spec, given);
        const expected = parseArraySpec(normal);
        assert.deepEqual([...indices(spec.ranges)], [...indices(expected?.ranges ?? [])], given);
        assert.equal(spec.throttle, expected?.throttle, given);
      }
    }
  },
  "sacct_argv0_tag_22.05.8": (name) => {
    const [row] = sampleRows(name);
    const line = [row?.["JobID"], "", "", row?.["SubmitLine"], "503"].join("\x1f");
    assert.deepEqual(fromSubmitLines(line, "rp-tag=0123abcd", 0), [{ jobId: "503" }]);
    assert.deepEqual(fromSubmitLines(line, "rp-tag=0123abce", 0), []);
  },
  "sacct_array_cancelled_pending_22.05.8": reports({
    498: {
      phase: "failed",
      state: "CANCELLED",
      tasks: [{ state: "CANCELLED", phase: "failed", indices: "0,4,7-9,12,20", count: 7 }],
    },
    500: { phase: "failed", state: "CANCELLED" },
    505: { phase: "failed", state: "CANCELLED" },
  }),
  "sacct_array_done_22.05.8": (name) => {
    reports({ 516: { phase: "failed", state: "FAILED", tasks: TASKS_DONE } })(name);
    const accounts = new Accounts(new Set(["516"]));
    for (const row of sampleRows(name)) accounts.add(row);
    const account = accounts.result().get("516");
    assert.deepEqual(account?.task_states, { COMPLETED: "0,3", FAILED: "1-2,4-5" });
    assert.equal(account?.tasks?.[5], "5 516 FAILED 2:0 - - - -");
  },
  sacct_array_forms1: table("|", ["JobID", "State"], [["516_1", "FAILED"]]),
  sacct_array_forms2: fails("failed"),
  sacct_array_forms3: table("|", ["JobID", "Raw", "State"], [["516_1", "520", "FAILED"]]),
  sacct_array_forms4: (name) => {
    table("|", ["JobID", "Raw", "State"], [["516_1.batch", "520.batch", "FAILED"]])(name);
    assert.deepEqual(parseReference("516_1.batch"), { jobId: "516", task: 1, step: "batch" });
    assert.equal(sacctStateRow({ JobID: "516_1.batch", State: "FAILED" }), undefined);
  },
  sacct_array_forms5: table("|", ["JobID", "Raw", "State"], [[
    "516_1.batch",
    "520.batch",
    "FAILED",
  ]]),
  "sacct_array_pending_later_22.05.8": reports({
    498: {
      phase: "pending",
      state: "PENDING",
      tasks: [{ state: "PENDING", phase: "pending", indices: "0,4,7-9,12,20", count: 7 }],
    },
    499: { phase: "pending" },
    501: { tasks: [{ state: "PENDING", phase: "pending", indices: "5", count: 1 }] },
    502: { tasks: [{ state: "PENDING", phase: "pending", indices: "1-5", count: 5 }] },
  }),
  sacct_array_pending_now: nothing,
  "sacct_array_truncated_22.05.8": (name) => {
    reports({ 505: { phase: "pending", state: "PENDING" } })(name);
    const rows = sampleRows(name).flatMap((row) => sacctStateRow(row) ?? []);
    const whole = report(gather({ jobId: "505", expected: "6-500" }, rows), false, []);
    assert.deepEqual(whole.tasks, [
      { state: "PENDING", phase: "pending", indices: "6-500", count: 495 },
    ]);
  },
  sacct_arrayopt: fails("failed"),
  sacct_badfield: (name) => {
    fails("failed")(name);
    assert.equal(refusedColumn(readSample(name).stderr), "StdOut");
  },
  sacct_badid: fails("failed"),
  "sacct_c_noacct_22.05.8": fails("failed"),
  "sacct_ctld_down_22.05.8": reports({ 508: { phase: "failed", state: "TIMEOUT" } }),
  "sacct_dbd_down_22.05.8": fails("slurmdbd-down"),
  sacct_delim_multi: table("@@", ["JobID", "State", "ExitCode"], [["495", "COMPLETED", "0:0"]]),
  "sacct_epoch_22.05.8": (name) => {
    const [row] = parseTable(readSample(name).stdout, ["JobID", "Submit", "End", "Start"], "|");
    assert.deepEqual([parseTime(row?.["Submit"]), parseTime(row?.["End"])], [
      1795359739,
      1795359826,
    ]);
  },
  "sacct_fixedwidth_22.05.8": (name) => {
    assert.match(readSample(name).stdout, /CANCELLED\+/);
    assert.equal(classifyState("CANCELLED+").phase, "unknown");
  },
  sacct_het_forms1: (name) => {
    const rows = parseTable(readSample(name).stdout, ["JobID", "JobIDRaw", "State"], "|");
    const states = rows.flatMap((row) => sacctStateRow(row) ?? []);
    assert.deepEqual(report(gather({ jobId: "478" }, states), true, []).components, [
      { state: "COMPLETED", phase: "completed", indices: "0-1", count: 2 },
    ]);
  },
  sacct_het_forms2: table("|", ["JobID", "Raw", "State"], [["478+1", "479", "COMPLETED"]]),
  sacct_het_forms3: table("|", ["JobID", "Raw", "State"], [["478+1", "479", "COMPLETED"]]),
  "sacct_het_held_22.05.8": reports({ 572: { phase: "pending", state: "PENDING" } }),
  "sacct_json_exit130_22.05.8": (name) => {
    // The JSON form is not used: it says 0 and SUCCESS of an exit code of 130.
    assert.match(readSample(name).stdout, /"return_code": 0/);
    assert.equal(classifyState("FAILED").phase, "failed");
  },
  "sacct_lag_22.05.8": (name) => {
    // The first answer on every job is none: that must not count as a state.
    assert.match(readSample(name).stdout, /sacct=<none> scontrol=PENDING/);
    assert.equal(report(gather({ jobId: "561" }, []), true, []).phase, "unknown");
  },
  sacct_mixed_badid: fails("failed"),
  "sacct_noacct_22.05.8": fails("accounting-disabled"),
  sacct_nosuch: nothing,
  sacct_requeued_D: reports({ 512: { phase: "pending" }, 514: { phase: "pending" } }),
  sacct_requeued_noD: reports({ 512: { phase: "pending", state: "PENDING" } }),
  "sacct_states1_22.05.8": reports({
    507: { phase: "failed", state: "FAILED", exitCode: 0, signal: 9 },
    508: { phase: "running", state: "RUNNING" },
    509: { phase: "failed", state: "CANCELLED" },
    510: { phase: "failed", state: "CANCELLED" },
    511: { phase: "failed", state: "FAILED", exitCode: 2, signal: 0 },
    512: { phase: "pending", state: "REQUEUED" },
    513: { phase: "running", state: "SUSPENDED" },
    517: { phase: "pending", reason: "DependencyNeverSatisfied" },
    518: { phase: "failed", state: "CANCELLED" },
    516: { phase: "failed", tasks: TASKS_DONE },
  }),
  "sacct_states_final_22.05.8": (name) => {
    const rows = sampleRows(name).map((row) => ({ ...row, JobID: row["JobIDRaw"] ?? "" }));
    const phaseOf = (jobId: string) =>
      report(
        gather(
          { jobId },
          rows.flatMap((row) => sacctStateRow(row) ?? []).filter(({ rawId }) => rawId === jobId),
        ),
        true,
        [],
      ).state;
    // Of 512 and 514 the rows after the requeue count.
    assert.deepEqual(
      ["507", "508", "509", "512", "514", "515", "532"].map(phaseOf),
      ["FAILED", "TIMEOUT", "CANCELLED", "COMPLETED", "CANCELLED", "DEADLINE", "FAILED"],
    );
  },
  "sacct_states_steps_22.05.8": reports({
    508: { phase: "failed", state: "TIMEOUT", exitCode: 0, signal: 0 },
    509: { state: "CANCELLED" },
    511: { exitCode: 2 },
    532: { exitCode: 0, signal: 53 },
  }),
  sacct_weird_P: (name) => {
    // "|" occurs in the text: a row that looks whole has the wrong columns. Hence 0x1f.
    const columns = ["JobID", "JobName", "State", "Comment", "SubmitLine", "WorkDir"];
    const rows = parseTable(readSample(name).stdout, columns, "|");
    assert.equal(rows.at(-1)?.["State"], "COMPLETED");
    assert.notEqual(rows.at(-1)?.["WorkDir"], "/data/run dir");
  },
  sacct_weird_delim: table(
    "\x1f",
    ["JobID", "JobName", "State", "SubmitLine", "WorkDir"],
    [["495", "a b=c JobState=FAILED", "COMPLETED", HOSTILE_SUBMIT, "/data/run dir"]],
  ),
  sacct_weird_p: table("|", ["JobID", "State", "SubmitLine"], []),
  sbatch_array: submitted(0, "480"),
  sbatch_badopt: noId(255),
  sbatch_badpart: noId(1),
  sbatch_badpart_77: noId(77),
  sbatch_cluster: submitted(0, "468", "test"),
  sbatch_cluster_bad: noId(1),
  "sbatch_ctld_down_22.05.8": noId(1),
  sbatch_directive_M: submitted(0, "490", "test"),
  sbatch_directive_parsable: submitted(0, "487"),
  sbatch_directive_quiet: submitted(0, "488"),
  sbatch_directive_wait: submitted(3, "489"),
  sbatch_env_clusters: submitted(0, "470", "test"),
  sbatch_env_sbclusters: submitted(0, "471", "test"),
  sbatch_het: submitted(0, "477"),
  sbatch_het2: submitted(0, "478"),
  sbatch_noscript: noId(1),
  sbatch_noshebang: noId(1),
  sbatch_parsable: submitted(0, "467"),
  sbatch_parsable_cluster: submitted(0, "469", "test"),
  sbatch_plain: submitted(0, "466"),
  sbatch_quiet: noId(0),
  sbatch_quiet_parsable: noId(0),
  sbatch_testonly: (name) => {
    const sample = readSample(name);
    assert.equal(parseSubmissions(sample.stdout).submissions.at(-1), undefined);
    assert.equal(saysTestOnly(sample.stderr), true);
  },
  sbatch_testonly_bad: noId(1),
  sbatch_toobig: submitted(0, "482"),
  sbatch_verbose: submitted(0, "483"),
  sbatch_wait7: submitted(7, "474"),
  sbatch_wrap: submitted(0, "481"),
  scancel_bad: silent(1),
  scancel_done: silent(0),
  scancel_unknown: silent(0),
  "scontrol_array_done_22.05.8": records(
    {
      jobId: "516",
      reference: { jobId: "516", task: 5 },
      state: "FAILED",
      exit: { code: 2, signal: 0 },
    },
    { jobId: "523", reference: { jobId: "516", task: 4 }, state: "FAILED" },
    { jobId: "522", reference: { jobId: "516", task: 3 }, state: "COMPLETED" },
    { jobId: "521", reference: { jobId: "516", task: 2 }, state: "FAILED" },
    { jobId: "520", reference: { jobId: "516", task: 1 }, nodeList: "n2" },
    { jobId: "519", reference: { jobId: "516", task: 0 }, stdOut: "/data/run/slurm-516_0.out" },
  ),
  "scontrol_array_pending_long_22.05.8": records({
    jobId: "499",
    reference: { jobId: "499", tasks: "0-900:3" },
    state: "PENDING",
    reason: "JobHeldUser",
  }),
  "scontrol_array_pending_mixed_22.05.8": (name) => {
    records({
      reference: { jobId: "498", tasks: "0,4,7-9,12,20%3" },
      jobName: "ok.sh",
      state: "PENDING",
      stdOut: "/data/run/slurm-498_4294967294.out",
    })(name);
    const spec = parseArraySpec("0,4,7-9,12,20%3");
    assert.equal(countIndices(spec?.ranges ?? []), 7);
    assert.equal(spec?.throttle, 3);
  },
  "scontrol_array_pending_step_22.05.8": (name) => {
    records({ reference: { jobId: "500", tasks: "0-9996:7%5" } })(name);
    assert.equal(formatRanges(parseArraySpec("0-9996:7%5")?.ranges ?? []), "0-9996:7");
  },
  "scontrol_array_task_22.05.8": records({
    jobId: "522",
    reference: { jobId: "516", task: 3 },
    arrayTaskThrottle: 2,
    state: "COMPLETED",
    workDir: "/data/run",
  }),
  "scontrol_array_task_rawid_22.05.8": records({
    jobId: "520",
    reference: { jobId: "516", task: 1 },
    state: "FAILED",
  }),
  "scontrol_array_throttle_22.05.8": records({
    reference: { jobId: "502", tasks: "1-5%2" },
    arrayTaskThrottle: 2,
  }),
  "scontrol_array_truncated_22.05.8": (name) => {
    const tasks = "6,8,23,37,50,59,68,73,85,88,91,96,104,114,116,118,121,125,13...";
    records({ reference: { jobId: "505", tasks }, state: "PENDING" })(name);
    assert.equal(parseArraySpec(tasks), undefined);
  },
  "scontrol_ctld_down_22.05.8": fails("slurmctld-down"),
  "scontrol_envinputs_22.05.8": records({
    jobId: "491",
    jobName: "envname",
    stdOut: "/data/run/env-491.out",
    state: "PENDING",
    partition: "debug",
  }),
  "scontrol_het_22.05.8": records(
    { jobId: "572", hetJobId: "572", hetJobOffset: 0, jobName: "ok.sh", numCpus: 1 },
    { jobId: "573", reference: { jobId: "572", component: 1 }, numCpus: 2, state: "PENDING" },
  ),
  scontrol_mixed_list: fails("unknown-id"),
  "scontrol_nosuch_22.05.8": fails("unknown-id"),
  "scontrol_nosuch_task_22.05.8": (name) => {
    assert.match(readSample(name).stdout, /not found/);
    fails("failed")(name);
  },
  "scontrol_patterns_22.05.8": (name) => {
    const { stdout } = readSample(name);
    const written = [...stdout.matchAll(/^FILE (.*)$/gm)].map((match) => match[1]);
    const job = { jobId: "529", arrayTaskId: null, jobName: "nm x" };
    const task = { jobId: "530", arrayJobId: "530", arrayTaskId: 3, jobName: "nm" };
    const known = { user: "root", node: "vm", slurmVersion: "22.05.8" };
    const rest = "_%N_%u_%n_%t_%s_%J_%%";
    const expanded = [
      expandPattern(`p_%j_%A_%a_%x${rest}_%5j_%q_%b.out`, { ...job, ...known }),
      expandPattern("q_%3a.err", { ...task, ...known }),
      expandPattern(`q_%j_%A_%a_%x${rest}_%4a_%b.out`, { ...task, ...known }),
      expandPattern("r\\_%j_%x.out", { ...job, ...known }),
      ...[0, 1].map((arrayTaskId) =>
        expandPattern("slurm-%A_%a.out", { arrayJobId: "534", arrayTaskId })
      ),
    ];
    assert.deepEqual(expanded, [
      written[1],
      written[2],
      written[3],
      written[4],
      ...written.slice(5),
    ]);
    assert.deepEqual(parseScontrolJobs(stdout).map(({ jobId, state }) => [jobId, state]), [
      ["529", "COMPLETED"],
      ["530", "COMPLETED"],
      ["531", "COMPLETED"],
      ["532", "FAILED"],
      ["533", "COMPLETED"],
      ["534", "COMPLETED"],
      ["537", "COMPLETED"],
      ["535", "COMPLETED"],
      ["536", "FAILED"],
    ]);
  },
  "scontrol_purged_22.05.8": fails("unknown-id"),
  "scontrol_sid_22.05.8": records({ jobId: "492", allocNode: "localhost", allocSid: "4700" }),
  "scontrol_weird_multiline_22.05.8": records(HOSTILE_RECORD),
  "scontrol_weird_oneliner_22.05.8": records(HOSTILE_RECORD),
  scontrol_weird_submit: submitted(0, "495"),
  "squeue_array_truncated_22.05.8": (name) => {
    assert.equal(parseReference(readSample(name).stdout.trim()), undefined);
  },
  squeue_badid: fails("failed"),
  "squeue_ctld_down_22.05.8": fails("slurmctld-down"),
  "squeue_het_22.05.8": (name) => {
    const columns = ["JobID", "JobIDRaw", "State", "Het", "Array"];
    const rows = parseTable(readSample(name).stdout, columns, "|");
    assert.deepEqual(rows.map((row) => squeueStateRow(row)?.reference), [
      { jobId: "572", component: 1 },
      { jobId: "572", component: 0 },
    ]);
  },
  "squeue_purged_22.05.8": fails("unknown-id"),
  "squeue_states_22.05.8": (name) => {
    const columns = ["JobID", "State", "Short", "Reason"];
    const states = new Map(
      parseTable(readSample(name).stdout, columns, "|").map((row) => {
        const state = squeueStateRow(row);
        return [row["JobID"], `${state?.state.phase} ${state?.state.word} ${state?.reason}`];
      }),
    );
    assert.equal(states.size, 16);
    assert.equal(states.get("514"), "pending SPECIAL_EXIT job requeued in held state");
    assert.equal(states.get("513"), "running SUSPENDED undefined");
    assert.equal(states.get("516_0"), "completed COMPLETED undefined");
    assert.equal(states.get("507"), "failed FAILED JobLaunchFailure");
  },
  "squeue_unknown1_22.05.8": fails("unknown-id"),
  "squeue_unknown2_22.05.8": (name) => {
    assert.equal(readSample(name).code, 0);
    assert.deepEqual(parseTable(readSample(name).stdout, ["JobID", "State", "Reason"], "|"), []);
  },
  "squeue_unknown_mixed_22.05.8": table("|", ["JobID", "State", "Reason"], [
    ["517", "PENDING", "DependencyNeverSatisfied"],
  ]),
  squeue_weird: (name) => {
    // "|" occurs in the comment: the row has too many delimiters and is left out.
    const columns = ["JobID", "State", "JobName", "WorkDir", "Command", "Comment"];
    const rows = parseTable(readSample(name).stdout, columns, "|");
    assert.deepEqual(rows.filter((row) => row["JobID"] === "495"), []);
  },
};

/** Reads `[1-3,] => 554` with `ArrayTaskId=1-3 JobName`, or a refusal, below it. */
function grammar(text: string): { given: string; normal: string | undefined }[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) => {
    const given = /^\[(.*)\] => /.exec(line)?.[1];
    const normal = /^ArrayTaskId=(\S+)/.exec(lines[at + 1] ?? "")?.[1];
    return given === undefined ? [] : [{ given, normal }];
  });
}

Deno.test("every recorded sample has a check, and every check a sample", () => {
  assert.deepEqual(Object.keys(CHECKS).sort(), sampleNames());
});

for (const [name, check] of Object.entries(CHECKS)) {
  Deno.test(`the sample ${name} is read as its index says`, () => check(name));
}
