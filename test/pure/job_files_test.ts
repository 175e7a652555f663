import assert from "node:assert/strict";
import { jobBranch } from "../../lib/commands/commit_results.ts";
import { jobFiles } from "../../lib/commands/job_files.ts";
import type { RecordedJob } from "../../lib/dataset/history.ts";
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

Deno.test("names that are not known are looked for on the disk", () => {
  const root = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${root}/sub`);
    for (const name of ["n7.out", "n8.err", "x.n7.out", "slurm-45.out"]) {
      Deno.writeTextFileSync(`${root}/sub/${name}`, "");
    }
    assert.deepEqual(jobFiles(root, recorded({ stdout: "sub/%N.out" })).logs, [
      "sub/n7.out",
      "sub/slurm-45.out",
      "sub/x.n7.out",
    ]);
    assert.deepEqual(jobFiles(root, recorded(undefined)).logs, ["sub/slurm-45.out"]);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
