import assert from "node:assert/strict";
import { jobBranch } from "../../lib/commands/commit_results.ts";
import { jobFiles, logsBelow, logsDependOnRuns } from "../../lib/commands/job_files.ts";
import type { RecordedJob } from "../../lib/dataset/history.ts";
import { IndexSet } from "../../lib/slurm/array.ts";
import type { TaskRun, TaskRuns } from "../../lib/slurm/task_runs.ts";
import { standInCluster } from "../../lib/slurm/stand_in.ts";

/** Returns a recorded job with what Slurm said of it at its submission. */
function recorded(
  job: Record<string, string> | undefined,
  record: Partial<RecordedJob["record"]> = {},
): RecordedJob {
  return {
    commit: "c".repeat(40),
    kind: "schedule",
    jobId: "45",
    message: undefined,
    state: "Pending",
    record: {
      chain: [],
      cmd: "sbatch a.sh",
      extra_inputs: [],
      inputs: [],
      outputs: ["out"],
      pwd: "sub",
      slurm_job_id: "45",
      ...(job === undefined ? {} : { datalad_slurm: { version: 1, job } }),
      ...record,
    },
  };
}

Deno.test("logs are where Slurm said, and the environment file is beside the first", () => {
  const { logs, environment } = jobFiles(
    "/ds",
    recorded({ stdout: "logs/a-45.out", stderr: "logs/a-45.err" }),
  );
  assert.deepEqual(logs, ["logs/a-45.out", "logs/a-45.err"]);
  assert.equal(environment, "logs/slurm-job-45.env.json");
});

Deno.test("what is named after a job is named after the cluster that it was sent to, too", () => {
  const names = (cluster: string) => {
    const datalad_slurm = { version: 1, job: { stdout: "a" }, cluster } as const;
    const job = recorded(undefined, { datalad_slurm });
    return [jobFiles("/ds", job).environment, jobBranch(job)];
  };
  assert.deepEqual(names("other"), ["slurm-job-45-other.env.json", "refs/heads/job-45-other"]);
  for (const cluster of [standInCluster("host"), "../../other"]) {
    assert.deepEqual(names(cluster), ["slurm-job-45.env.json", "refs/heads/job-45"]);
  }
});

Deno.test("one file for stdout and stderr is one log", () => {
  assert.deepEqual(jobFiles("/ds", recorded({ stdout: "x", stderr: "x" })).logs, ["x"]);
});

Deno.test("an array has a log for each task", () => {
  const job = recorded({ stdout: "slurm-45_%a.out", array: "1,3-5:2" });
  assert.deepEqual(jobFiles("/ds", job).logs, [
    "slurm-45_1.out",
    "slurm-45_3.out",
    "slurm-45_5.out",
  ]);
});

Deno.test("logs outside the dataset are none of its files", () => {
  const { logs, environment } = jobFiles("/ds", recorded({ stdout: "/dev/null" }));
  assert.deepEqual(logs, []);
  assert.equal(environment, "sub/slurm-job-45.env.json");
});

Deno.test("records of the DataLad extension name the logs themselves", () => {
  const job = recorded(undefined, {
    slurm_run_outputs: ["sub/log.slurm-45.out", "sub/slurm-job-45.env.json"],
  });
  assert.deepEqual(jobFiles("/ds", job).logs, ["sub/log.slurm-45.out"]);
});

/** Makes empty files in a directory of its own and has `check` look at them. */
function withFiles(names: readonly string[], check: (root: string) => void): void {
  const root = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${root}/sub`);
    for (const name of names) Deno.writeTextFileSync(`${root}/sub/${name}`, "");
    check(root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

/** Returns a job with what Slurm says of its runs. */
function thatRan(job: RecordedJob, runs: TaskRuns, idle = ""): RecordedJob {
  return { ...job, ran: { runs, idle: IndexSet.of(idle) } };
}

/** Returns an array of the tasks 1 to 3 with the ids that they ran with. */
function arrayThatRan(stdout: string): RecordedJob {
  const runs = new Map(
    [[1, "46"], [2, "47"], [3, "45"]].map(([task, jobId]) =>
      [Number(task), { jobId: `${jobId}`, node: "n7" }] as const
    ),
  );
  return thatRan(recorded({ stdout, array: "1-3" }), runs);
}

Deno.test("a job's default log is taken where it is there", () => {
  withFiles(["slurm-45.out", "slurm-46.out"], (root) => {
    assert.deepEqual(jobFiles(root, recorded(undefined)).logs, ["sub/slurm-45.out"]);
  });
});

Deno.test("a log named after the node is known when Slurm says which", () => {
  withFiles(["n7.out", "n8.out", "45-n8.out", "45-n9.out", "145-n9.out"], (root) => {
    const job = recorded({ stdout: "sub/%N.out" });
    const runs = new Map([[null, { jobId: "45", node: "n8" }]]);
    assert.ok(logsDependOnRuns(root, job));
    assert.deepEqual(jobFiles(root, thatRan(job, runs)).logs, ["sub/n8.out"]);
    // Else no other job's is taken: it is missing by the name that is known of it.
    assert.deepEqual(jobFiles(root, job).logs, ["sub/%N.out"]);
    const elsewhere = new Map([[null, { jobId: "45", node: "n1" }]]);
    assert.deepEqual(jobFiles(root, thatRan(job, elsewhere)).logs, ["sub/n1.out"]);
    const named = recorded({ stdout: "sub/%5j-%N" });
    assert.deepEqual(jobFiles(root, named).logs, ["sub/%5j-%N"]);
    const own = recorded({ stdout: "sub/45-%N.out" });
    const both = ["sub/45-n8.out", "sub/45-n9.out"];
    assert.deepEqual(jobFiles(root, own).logs, both);
    assert.deepEqual(jobFiles(root, thatRan(own, runs)).logs, ["sub/45-n8.out"]);
    // Slurm may know a node by another name than the host's.
    assert.deepEqual(jobFiles(root, thatRan(own, elsewhere)).logs, both);
  });
});

Deno.test("of an array the id that Slurm shows stands for each task's own, where logs say so", () => {
  withFiles(["45.out", "46.out", "47.out", "48.out", "45-47.err", "45_1.log"], (root) => {
    const own = arrayThatRan("sub/45.out");
    assert.ok(logsDependOnRuns(root, own));
    assert.deepEqual(jobFiles(root, own).logs, ["sub/46.out", "sub/47.out", "sub/45.out"]);
    const wanted = { tasks: IndexSet.of("2-3"), withShared: false };
    assert.deepEqual(jobFiles(root, own, wanted).logs, ["sub/47.out", "sub/45.out"]);
    const shared = arrayThatRan("sub/45-45.err");
    assert.deepEqual(jobFiles(root, shared).logs, ["sub/45-45.err", "sub/45-47.err"]);
    const padded = arrayThatRan("sub/%5j.out");
    assert.deepEqual(
      jobFiles(root, padded).logs,
      ["46", "47", "45"].map((id) => `sub/000${id}.out`),
    );
    const unknown = recorded({ stdout: "sub/%5j.out", array: "1-3" });
    assert.deepEqual(jobFiles(root, unknown).logs, ["sub/%5j.out"]);
  });
});

Deno.test("an array whose logs are all where they should be depends on no more", () => {
  withFiles(["45_1.out", "45_2.out", "45_3.out", "46_1.err"], (root) => {
    const job = (stdout: string) => recorded({ stdout, array: "1-3" });
    assert.equal(logsDependOnRuns(root, job("sub/45_%a.out")), false);
    assert.equal(logsDependOnRuns(root, job("/elsewhere/%j.out")), false);
    assert.equal(logsDependOnRuns(root, recorded({ stdout: "sub/45.out" })), false);
    assert.equal(logsDependOnRuns(root, job("sub/45_%a.err")), true);
    assert.equal(logsDependOnRuns(root, job("sub/%a.out")), true);
    assert.deepEqual(jobFiles(root, arrayThatRan("sub/45_%a.err")).logs, [
      "sub/46_1.err",
      "sub/45_2.err",
      "sub/45_3.err",
    ]);
  });
});

Deno.test("an array task that never started has no log, unless there is one", () => {
  withFiles(["45_1.out", "45_4.out"], (root) => {
    const job = recorded({ stdout: "sub/45_%a.out", array: "1-4" });
    const runs: TaskRuns = new Map<number, TaskRun>([
      [1, { jobId: "46", node: "n1" }],
      [2, { jobId: "47" }],
      [3, { jobId: "48", node: "n1" }],
    ]);
    const names = ["sub/45_1.out", "sub/45_3.out", "sub/45_4.out"];
    assert.deepEqual(jobFiles(root, thatRan(job, runs, "2,4")).logs, names);
    // Of one that ended otherwise it is not enough that Slurm tells of no run.
    assert.equal(jobFiles(root, thatRan(job, runs)).logs.length, 4);
    assert.equal(jobFiles(root, job).logs.length, 4);
    const shared = recorded({ stdout: "sub/45.log", array: "1-2" });
    assert.deepEqual(jobFiles(root, thatRan(shared, runs, "1-2")).logs, []);
    assert.deepEqual(jobFiles(root, thatRan(shared, runs, "2")).logs, ["sub/45.log"]);
  });
  const gone = recorded({ stdout: "logs/45_%a.out", array: "1-4" });
  const { logs, environment } = jobFiles("/ds", thatRan(gone, new Map(), "1-4"));
  assert.deepEqual([logs, environment], [[], "logs/slurm-job-45.env.json"]);
});

Deno.test("the width of ids and indices that slurmctld has not shown is found out", () => {
  withFiles(["00045-003", "00046-001", "00047-002", "45_001", "45_010"], (root) => {
    const own = arrayThatRan("sub/00045-%a");
    assert.deepEqual(jobFiles(root, own).logs, ["sub/00046-001", "sub/00047-002", "sub/00045-003"]);
    assert.deepEqual(jobFiles(root, arrayThatRan("sub/45_%a")).logs, [
      "sub/45_001",
      "sub/45_2",
      "sub/45_3",
    ]);
  });
  withFiles(["00045-h1", "00046-h1", "00047-h2", "00048-h1"], (root) => {
    const names = ["sub/00046-h1", "sub/00047-h2", "sub/00045-h1"];
    assert.deepEqual(jobFiles(root, arrayThatRan("sub/00045-%N")).logs, names);
    assert.deepEqual(jobFiles(root, arrayThatRan("sub/%5j-%N")).logs, names);
  });
});

Deno.test("logs are near outputs that they may lie below", () => {
  const isNear = (stdout: string, ...outputs: string[]) =>
    logsBelow("/ds", outputs)(recorded({ stdout }));
  assert.ok(isNear("logs/45.out", "logs"));
  assert.ok(isNear("/ds/logs/deep/%N/45.out", "other", "logs/*.out"));
  assert.ok(isNear("45.out", "."));
  assert.ok(!isNear("45.out", "out"));
  assert.ok(!isNear("logs/45.out", "logs/deep", "log", "out/%a"));
  assert.ok(!isNear("/elsewhere/45.out", "."));
});
