import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { startLocalSlurm } from "../support/local_slurm.ts";
import { jobsAreOver, noRealSlurm, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Schedules a job that fails, and waits for its end. */
async function failedJob(dataset: TestDataset): Promise<string> {
  const id = await dataset.schedule(["-o", "out", "sbatch", "fail.sh", "out"]);
  await jobsAreOver([id]);
  return id;
}

/** Writes `.datalad/config`, as it comes with a dataset. */
async function setShared(dataset: TestDataset, key: string, value: string): Promise<void> {
  await Deno.mkdir(`${dataset.root}/.datalad`, { recursive: true });
  await dataset.git("config", "-f", ".datalad/config", key, value);
}

concurrently(false, {
  "datalad-slurm.failed-jobs says what finish does with failed jobs; an option stands above it":
    async () => {
      await using dataset = await TestDataset.make();
      await setShared(dataset, "datalad-slurm.failed-jobs", "commit");
      const id = await failedJob(dataset);
      const left = await dataset.tool(["finish", "--leave-failed-jobs"]);
      assert.match(left.stdout, /left open/);
      assert.equal(left.code, 1);
      // The clone's own configuration stands above the dataset's.
      await dataset.git("config", "datalad-slurm.failed-jobs", "leave");
      assert.match((await dataset.tool(["finish"])).stdout, /left open/);
      await dataset.git("config", "--unset", "datalad-slurm.failed-jobs");
      assert.match(await dataset.succeed(["finish"]), new RegExp(`Job ${id}: Failed, committed`));
    },
  "datalad-slurm.lock-timeout says how long the lock is waited for": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("config", "datalad-slurm.lock-timeout", "0.2");
    const lock = `${dataset.root}/.git/datalad-slurm/lock/L`;
    await Deno.mkdir(`${lock}/node1-1-0123456789abcdef~working`, { recursive: true });
    const { code, stderr } = await dataset.tool(["schedule", "-o", "out", "sbatch", "write.sh"]);
    assert.equal(code, 4, stderr);
    assert.match(stderr, /waited 0\.\d s/);
  },
  "datalad-slurm.jobs says how many files are fetched at a time": async () => {
    await using origin = await TestDataset.make({ kind: "annex" });
    await origin.write("input", "content\n");
    await origin.git("annex", "add", "-q", "input");
    await origin.commit("Input");
    await origin.git("clone", "-q", origin.root, `${origin.scratch.directory}/clone`);
    const clone = origin.at(`${origin.scratch.directory}/clone`);
    await clone.git("annex", "init", "-q", "clone");
    await clone.git("config", "datalad-slurm.jobs", "3");
    const bin = `${origin.scratch.directory}/bin`;
    const annex = (await clone.run(["which", "git-annex"])).stdout.trim();
    await Deno.mkdir(bin);
    const log = `printf '%s\\n' "$*" >>'${bin}/log'`;
    await Deno.writeTextFile(`${bin}/git-annex`, `#!/bin/sh\n${log}\nexec ${annex} "$@"\n`, {
      mode: 0o755,
    });
    const env = { PATH: `${bin}:${clone.env["PATH"]}` };
    await clone.schedule(["-i", "input", "-o", "out", "sbatch", "-H", "write.sh", "out"], { env });
    assert.match(await Deno.readTextFile(`${bin}/log`), /^get .*-J3$/m);
  },
  "a value that cannot be understood is an error that names key and file": async () => {
    await using dataset = await TestDataset.make();
    const wrong: [string, string, RegExp][] = [
      ["datalad-slurm.lock-timeout", "soon", /a number of seconds/],
      ["datalad-slurm.jobs", "0", /a number from 1 to 999/],
      ["datalad-slurm.failed-jobs", "maybe", /leave, commit or close/],
      ["datalad-slurm.slurm", "there", /cluster or local/],
    ];
    for (const [key, value, expected] of wrong) {
      await dataset.git("config", key, value);
      const { code, stdout, stderr } = await dataset.tool(["status"]);
      assert.equal(code, 1, stderr);
      assert.equal(stdout, "");
      assert(stderr.includes(`${key} is "${value}", in file:.git/config`), stderr);
      assert.match(stderr, expected);
      await dataset.git("config", "--unset", key);
    }
    await setShared(dataset, "datalad-slurm.jobs", "many");
    assert.match((await dataset.tool(["status"])).stderr, /is "many", in file:.*\.datalad\/config/);
    // What may not be set there is not looked at either.
    await setShared(dataset, "datalad-slurm.jobs", "2");
    await setShared(dataset, "datalad-slurm.slurm", "there");
    await dataset.succeed(["status"]);
    await dataset.git("config", "datalad-slurm.lock-timout", "1");
    assert.match(
      (await dataset.tool(["doctor"])).stdout,
      /^warning +settings: .* datalad-slurm\.lock-timout\n +See .*help config$/m,
    );
  },
});

concurrently(noRealSlurm, {
  "datalad-slurm.slurm is the clone's own: no dataset says where its jobs run": async () => {
    await using dataset = await TestDataset.make();
    const standIn = await startLocalSlurm();
    await using _ = { [Symbol.asyncDispose]: () => standIn.release() };
    dataset.env["DATALAD_SLURM_LOCAL_DIR"] = standIn.env["DATALAD_SLURM_LOCAL_DIR"] ?? "";
    const hostile = `${dataset.root}/hostile`;
    await Deno.writeTextFile(hostile, "[datalad-slurm]\n\tslurm = local\n\tuuid = theirs\n");
    await setShared(dataset, "datalad-slurm.slurm", "local");
    await setShared(dataset, "include.path", hostile);
    const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    assert(Number(id) < 1e9, "The job went to the stand-in");
    assert.notEqual(await dataset.git("config", "datalad-slurm.uuid"), "theirs");
    const own = ["-o", "own", "sbatch", "write.sh", "own"];
    await dataset.git("config", "datalad-slurm.slurm", "local");
    const local = await dataset.schedule(own);
    assert(Number(local) >= 1e9, "The job went to the cluster");
    assert.match(await dataset.succeed(["finish", "--wait", local]), /Complete/);
  },
});
