import assert from "node:assert/strict";
import { finishesIn } from "../../lib/commands/select_jobs.ts";
import type { RecordedJob } from "../../lib/dataset/history.ts";

/** A commit of a job; without `part` it is as the DataLad extension writes it. */
function recorded(
  kind: RecordedJob["kind"],
  commit: string,
  jobId: string,
  part?: Record<string, unknown>,
): RecordedJob {
  return {
    commit,
    kind,
    jobId,
    message: undefined,
    state: "Complete",
    record: {
      chain: [],
      cmd: "sbatch job.sh",
      extra_inputs: [],
      inputs: [],
      outputs: ["out"],
      pwd: ".",
      slurm_job_id: jobId,
      ...(part === undefined ? {} : { datalad_slurm: { version: 1, ...part } }),
    } as unknown as RecordedJob["record"],
  };
}

Deno.test("a finish is found by token, by its schedule commit, and by the id alone of older ones", () => {
  const jobs = {
    token: recorded("schedule", "s1", "1", { token: "t1" }),
    commit: recorded("schedule", "s2", "2"),
    id: recorded("schedule", "s3", "3"),
    open: recorded("schedule", "s4", "1", { token: "t4" }),
  };
  const finishes = [
    recorded("finish", "f1", "1", { token: "t1" }),
    recorded("finish", "f2", "2", { token: "of another clone", schedule_commit: "s2" }),
    recorded("finish", "f3", "3"),
    recorded("finish", "f3, again", "3"),
    recorded("part", "p4", "1", { token: "t4" }),
  ];
  const finishOf = finishesIn([...Object.values(jobs), ...finishes]);
  assert.equal(finishOf(jobs.token)?.commit, "f1");
  assert.equal(finishOf(jobs.commit)?.commit, "f2");
  assert.equal(finishOf(jobs.id)?.commit, "f3");
  assert.equal(finishOf(jobs.open), undefined);
  const run = recorded("run", "r5", "5");
  assert.equal(finishOf(run), run);
});

Deno.test("to find the finish of each of many jobs, history is gone through once", () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => `${index}`);
  const jobs = ids.map((id) => recorded("schedule", `s${id}`, id, { token: `t${id}` }));
  const finishes = ids.map((id) => recorded("finish", `f${id}`, id, { token: `t${id}` }));
  let reads = 0;
  const history = new Proxy([...jobs, ...finishes], {
    get(target, property, receiver) {
      if (typeof property === "string" && /^\d+$/.test(property)) reads++;
      return Reflect.get(target, property, receiver);
    },
  });
  const finishOf = finishesIn(history);
  for (const job of jobs) assert.equal(finishOf(job)?.commit, `f${job.jobId}`);
  assert.ok(reads <= 2 * history.length, `${reads} commits were looked at`);
});
