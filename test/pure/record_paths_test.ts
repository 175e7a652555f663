import assert from "node:assert/strict";
import { recordPaths } from "../../lib/record/paths.ts";
import { parseRecord } from "../../lib/record/schema.ts";
import { decodeFixture } from "./record_fixtures.ts";

Deno.test("the extension of 2024 has paths relative to the directory of the job, or absolute", () => {
  assert.deepEqual(recordPaths(decodeFixture("schedule-2025-01").record, "/data/ds/"), {
    inputs: [],
    extra_inputs: [],
    outputs: ["jobs/20", "jobs/20/log.slurm-45.out", "jobs/20/slurm-job-45.env.json"],
    slurm_run_outputs: ["jobs/20/log.slurm-45.out", "jobs/20/slurm-job-45.env.json"],
  });
});

Deno.test("the extension 0.2.5 has logs relative to the directory of the job, others not", () => {
  assert.deepEqual(recordPaths(decodeFixture("slurm-run-0.2.5").record, "/data/ds"), {
    inputs: [],
    extra_inputs: [],
    outputs: ["jobs/18", "jobs/18/slurm-job-23.env.json", "jobs/18/log.slurm-23.out"],
    slurm_run_outputs: ["jobs/18/log.slurm-23.out", "jobs/18/slurm-job-23.env.json"],
  });
});

Deno.test("absolute outputs of a clone that lay elsewhere are found below the recorded directory", () => {
  const { record } = decodeFixture("schedule-2025-01");
  const { outputs } = recordPaths(record, "/home/me/clone");
  assert.deepEqual(outputs, [
    "jobs/20",
    "jobs/20/log.slurm-45.out",
    "jobs/20/slurm-job-45.env.json",
  ]);
  const atTop = { ...record, pwd: ".", outputs: ["/data/ds/out"] };
  assert.deepEqual(recordPaths(atTop, "/home/me/clone").outputs, ["/data/ds/out"]);
});

Deno.test("a leading ./ is left out", () => {
  const { outputs } = recordPaths(
    decodeFixture("slurm-run-failed-array-0.2.5").record,
    "/data/ds",
  );
  assert.equal(outputs.at(-1), "arr");
});

Deno.test("our own paths are relative to the root, and those outside of it absolute", () => {
  const record = parseRecord("c", {
    cmd: "sbatch a.sh",
    pwd: "sub",
    slurm_job_id: "1",
    inputs: ["in/*.dat", "./in/*.dat", "../other"],
    extra_inputs: ["/data/dsx"],
    outputs: ["/data/ds", "a//b/", "x/../y"],
    slurm_run_outputs: ["log"],
    datalad_slurm: { version: 1 },
  });
  assert.deepEqual(recordPaths(record, "/data/ds"), {
    inputs: ["in/*.dat", "/data/other"],
    extra_inputs: ["/data/dsx"],
    outputs: [".", "a/b", "y"],
    slurm_run_outputs: ["log"],
  });
});
