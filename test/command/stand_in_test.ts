/** The local stand-in for Slurm as a user without Slurm meets it. */
import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { type LocalSlurm, startLocalSlurm } from "../support/local_slurm.ts";
import { until, useCluster } from "../support/real_slurm.ts";

useCluster();

let standIn: LocalSlurm | undefined;
Deno.test.beforeAll(async () => {
  standIn = await startLocalSlurm();
});
Deno.test.afterAll(async () => await standIn?.release());

/** A dataset beside a stand-in, where nothing chooses it and `sbatch` refuses all jobs. */
async function onLaptop(): Promise<TestDataset> {
  const dataset = await TestDataset.make();
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  const refuse = "#!/bin/sh\necho 'sbatch: error: Batch job submission failed' >&2; exit 1\n";
  await Deno.writeTextFile(`${bin}/sbatch`, refuse, { mode: 0o755 });
  Object.assign(dataset.env, {
    PATH: `${bin}:${dataset.env["PATH"]}`,
    DATALAD_SLURM: "",
    DATALAD_SLURM_LOCAL_DIR: standIn?.env["DATALAD_SLURM_LOCAL_DIR"] ?? "",
  });
  return dataset;
}

concurrently(false, {
  "whoever looks for a command that cancels jobs is told the programs that do": async () => {
    await using dataset = await onLaptop();
    const look = async (word: string, env = {}) => {
      const { code, stderr } = await dataset.tool([word, "1000000001"], { env });
      assert.equal(code, 2);
      return stderr;
    };
    const unused = { DATALAD_SLURM_LOCAL_DIR: `${dataset.scratch.directory}/unused` };
    assert.match(
      await look("scancel", unused),
      /^Error: .*\nHint: Cancel a job with: scancel JOBID; then/,
    );
    const submit = ["--slurm=local", "-o", "out", "sbatch", "--wrap", "sleep 600"];
    const id = await dataset.schedule(submit);
    const path = / one of the local stand-in with: (\S+) JOBID/.exec(await look("cancel"))?.[1];
    assert.equal((await dataset.run([path ?? "", id])).code, 0);
    assert.match((await dataset.tool(["finish", "--wait"])).stdout, /Cancelled/);
  },
  "its job is rescheduled there again, unless something else is chosen": async () => {
    await using dataset = await onLaptop();
    const submit = ["--slurm=local", "-o", "out", "sbatch", "write.sh", "out"];
    await dataset.schedule(submit);
    await dataset.succeed(["finish", "--wait"]);
    const again = await dataset.tool(["reschedule", "HEAD"]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^Submitted batch job 100000000\d on cluster local@/);
    assert.match(again.stderr, /^sbatch: Job 100000000\d runs on this machine .* no Slurm$/m);
    assert.doesNotMatch(again.stderr, /goes to Slurm/);
    await dataset.succeed(["finish", "--wait", jobIdIn(again.stdout)]);

    const toSlurm =
      /^ {2}It ran on local@\S+, a local stand-in; now it goes to Slurm \(--slurm local/m;
    const chosen = await dataset.tool(["reschedule", "--slurm=cluster", "HEAD"]);
    assert.equal(chosen.code, 3);
    assert.match(chosen.stderr, toSlurm);
    const other = `${dataset.scratch.directory}/other`;
    await Deno.mkdir(other);
    await Deno.writeTextFile(`${other}/cluster`, "local@elsewhere\n");
    const env = { DATALAD_SLURM_LOCAL_DIR: other };
    const elsewhere = await dataset.tool(["reschedule", "HEAD"], { env });
    assert.equal(elsewhere.code, 3);
    assert.match(elsewhere.stderr, toSlurm);
    assert.match(await dataset.succeed(["reschedule", "--report", "HEAD"], { env }), toSlurm);
  },
  "--auto-finish commits a job that completes, and leaves one that fails to be told of":
    async () => {
      await using dataset = await onLaptop();
      const base = await dataset.git("rev-parse", "HEAD");
      const submit = async (...args: string[]) => {
        const stdout = await dataset.succeed([
          "schedule",
          "--slurm=local",
          "--auto-finish",
          ...args,
        ]);
        const finisher = /^Job (\d+) will finish it$/m.exec(stdout)?.[1];
        assert(finisher !== undefined, stdout);
        return { id: jobIdIn(stdout), finisher };
      };
      const good = await submit("-o", "good", "sbatch", "write.sh", "good");
      const bad = await submit("-o", "bad", "sbatch", "fail.sh", "bad");
      await until("both finishing jobs are over", async () => {
        const { stdout } = await dataset.tool(["status"]);
        return !stdout.includes(` ${good.id} `) && (await dataset.tool(["status"])).stderr !== "";
      });
      const { stderr } = await dataset.tool(["status"]);
      assert.match(
        stderr,
        new RegExp(`^Job ${bad.id}: Its finishing job ${bad.finisher} has left it open`),
      );
      await dataset.succeed(["finish", "--close-failed-jobs"]);
      await checkDataset(dataset, {
        base,
        finished: {
          [good.id]: written(good.id, ["good"]),
          [bad.id]: {},
        },
        status: ["?? bad", `?? slurm-${bad.id}.out`],
      });
    },
});
