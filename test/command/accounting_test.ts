import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreAccounted,
  jobsAreOver,
  noRealSlurm,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

type Accounting = Record<string, unknown>;

/** Returns what the record of the last commit has of accounting. */
async function recorded(dataset: TestDataset): Promise<Accounting> {
  return (await dataset.record()).datalad_slurm.accounting;
}

/** A sacct whose rows of accounting pass through an awk program as often as it is told to. */
class Lagging {
  private constructor(readonly env: { readonly PATH: string }, readonly calls: string) {}

  static async put(dataset: TestDataset, awk: string, times: number): Promise<Lagging> {
    const calls = `${dataset.scratch.directory}/calls`;
    const real = (await dataset.run(["which", "sacct"])).stdout.trim();
    const lines = [
      `case "$*" in *MaxRSS*) ;; *) exec ${real} "$@" ;; esac`,
      `echo >>${calls}`,
      `[ "$(wc -l <${calls})" -le ${times} ] || exec ${real} "$@"`,
      `${real} "$@" | awk -F '\\037' -v OFS='\\037' '${awk}'`,
    ];
    return new Lagging({ PATH: await dataset.pathWith({ sacct: lines.join("\n") }) }, calls);
  }

  /** How often accounting was asked for. */
  count(): number {
    return Deno.readTextFileSync(this.calls).length;
  }
}

/** What sacct says of a job whose end has not come to it. */
const RUNS_STILL = '{ $3 = "RUNNING"; $4 = "0:0"; $8 = "Unknown"; print }';

concurrently(noRealSlurm, {
  "accounting that lags behind is asked again until it has the end": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreAccounted([id]);
    const lagging = await Lagging.put(dataset, RUNS_STILL, 2);
    await dataset.succeed(["finish"], { env: lagging.env });
    assert.equal(lagging.count(), 3);
    const { state, end, exit_code, elapsed_seconds } = await recorded(dataset);
    assert.deepEqual([state, exit_code], ["COMPLETED", 0]);
    assert.match(`${end}`, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(typeof elapsed_seconds, "number");
  },
  "an end that never comes to accounting is recorded as slurmctld told it": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "--wrap", "sleep 1; exit 7"]);
    await jobIs(id, "FAILED");
    const lagging = await Lagging.put(dataset, RUNS_STILL, 99);
    await dataset.succeed(["finish", "--commit-failed-jobs"], { env: lagging.env });
    const accounting = await recorded(dataset);
    assert.deepEqual([accounting["state"], accounting["exit_code"]], ["FAILED", 7]);
    const seconds = (name: string) => Date.parse(`${accounting[name]}`) / 1000;
    assert.ok(seconds("end") >= seconds("start") + 1, JSON.stringify(accounting));
    assert.equal(accounting["job_id"], id);
    // What it had counted so far is not what the job used.
    assert.equal(accounting["elapsed_seconds"], undefined);
    assert.match(await dataset.succeed(["show", id]), /^State +Failed, exit code 7$/m);
  },
  "without accounting the record has what slurmctld knows": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "--wrap", "exit 9"]);
    await jobsAreOver([id]);
    const calls = `${dataset.scratch.directory}/calls`;
    const sacct = `echo >>${calls}; echo 'Slurm accounting storage is disabled' >&2; exit 1`;
    const env = { PATH: await dataset.pathWith({ sacct }) };
    await dataset.succeed(["finish", "--commit-failed-jobs"], { env });
    const accounting = await recorded(dataset);
    assert.deepEqual([accounting["state"], accounting["exit_code"]], ["FAILED", 9]);
    for (const name of ["submit", "start", "end"]) {
      assert.match(`${accounting[name]}`, /^\d{4}-\d\d-\d\dT/, name);
    }
    assert.equal(Deno.readTextFileSync(calls).length, 2, "for the state and accounting");
  },
  "of an array every task is waited for": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(
      ["-o", "out", "sbatch", "--array=0-3", "array.sh", "out", "2"],
    );
    await jobsAreOver([id]);
    await jobsAreAccounted([0, 1, 2, 3].map((task) => `${id}_${task}`));
    // As 22.05 shows an array in the second after its end.
    const lagging = await Lagging.put(dataset, '$1 ~ /_3/ { sub(/_3/, "", $1); print }', 1);
    await dataset.succeed(["finish", "--commit-failed-jobs"], { env: lagging.env });
    const accounting = await recorded(dataset);
    assert.equal(accounting["task_count"], 4);
    assert.deepEqual(accounting["task_states"], { COMPLETED: "0-1,3", FAILED: "2" });
    assert.equal((accounting["tasks"] as string[]).length, 4);
  },
  "an exit code from 128 on is told and recorded as it was": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "out", "sbatch", "--wrap", "exit 200"]);
    await jobsAreAccounted([id]);
    assert.match(
      await dataset.succeed(["status"]),
      new RegExp(` ${id} .*Failed \\(exit code 200\\)`),
    );
    const { stdout } = await dataset.tool(["finish"]);
    assert.equal(stdout, `Job ${id}: Failed (exit code 200), left open\n`);
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    assert.equal((await recorded(dataset))["exit_code"], 200);
    assert.match(await dataset.succeed(["show", id]), /^State +Failed, exit code 200$/m);
  },
});
