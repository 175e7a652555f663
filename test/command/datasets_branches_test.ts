import assert from "node:assert/strict";
import { checkNothingIsLeft, environmentOf } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, noDatalad } from "../support/datalad.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";
import { goOn } from "../stress/crashes.ts";
import { runInterposed } from "../stress/interpose.ts";

useCluster();

/** Schedules jobs that each write a file, one after the other, and waits for them. */
async function runJobs(dataset: TestDataset, files: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const file of files) {
    ids.push(await dataset.schedule(["-o", file, "sbatch", "write.sh", file]));
  }
  await jobsAreOver(ids);
  return ids;
}

/** Returns the paths in which a commit differs from its first parent. */
async function changed(dataset: TestDataset, commit: string): Promise<string[]> {
  return (await dataset.git("diff", "--name-only", `${commit}^1`, commit)).split("\n");
}

/** Returns the commit at which a job was scheduled. */
async function scheduledAt(dataset: TestDataset, id: string): Promise<string> {
  return await dataset.git(
    ...["log", "--format=%H", "--fixed-strings", `--grep=Submitted batch job ${id}: Pending`],
  );
}

concurrently(noDatalad, {
  "--branches commits each job where it was scheduled, and a merge takes it in": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("old", "old\n");
    await dataset.git("annex", "add", "-q", "old");
    await dataset.commit("Old");
    const ids = await runJobs(dataset, ["a", "old"]);
    const [a = "", b = ""] = ids;
    const tip = await dataset.git("rev-parse", "HEAD");
    await dataset.write("mine", "staged\n");
    await dataset.git("-c", "annex.largefiles=nothing", "add", "mine");
    const stdout = await dataset.succeed(["finish", "--branches"]);
    for (const id of ids) assert.match(stdout, new RegExp(`Job ${id}: Complete, committed as`));
    assert.equal(await dataset.git("rev-parse", "HEAD"), tip, "The branch stays");
    assert.equal(await dataset.git("status", "--porcelain"), "A  mine");
    assert.equal(await Deno.readTextFile(`${dataset.root}/old`), "old\n");
    for (const [id, file] of [[a, "a"], [b, "old"]] as const) {
      const branch = `job-${id}`;
      assert.equal(await dataset.git("rev-parse", `${branch}^`), await scheduledAt(dataset, id));
      assert.deepEqual(
        await changed(dataset, branch),
        [file, `slurm-${id}.out`, `slurm-job-${id}.env.json`].toSorted(),
      );
    }
    await dataset.git("rm", "-q", "--cached", "mine");
    await Deno.remove(`${dataset.root}/mine`);
    await checkNothingIsLeft(dataset);
    assert.match(stdout, new RegExp(`^Job ${a}: .* on branch job-${a}$`, "m"));
    const log = await dataset.tool(["log"]);
    assert.match(log.stdout, new RegExp(` ${a} +on branch job-${a} `));
    assert.match(
      log.stderr,
      new RegExp(`Hint: git merge job-${b} job-${a} takes their results in`),
    );
    const shown = await dataset.tool(["show", a]);
    assert.match(shown.stdout, new RegExp(`^Finished +on branch job-${a}, not merged yet$`, "m"));
    assert.match(shown.stderr, new RegExp(`Hint: git merge job-${a} takes its results in`));
    // The jobs are not finished again, on the branch or not.
    assert.match(await dataset.succeed(["finish"]), new RegExp(`finished on the branch job-${a}`));
    for (const id of ids) await dataset.git("merge", "-q", "--no-edit", `job-${id}`);
    assert.equal(await Deno.readTextFile(`${dataset.root}/old`), "result of old\n");
    assert.equal(await dataset.git("status", "--porcelain"), "");
    assert.doesNotMatch(await dataset.succeed(["status"]), new RegExp(`\\b(?:${a}|${b})\\b`));
    const env = await Deno.readFile(`${dataset.root}/slurm-job-${a}.env.json`);
    environmentOf(a)(env);
    await dataset.git("fsck", "--strict");
    await dataset.git("annex", "fsck", "--quiet");
    await checkWithDatalad(dataset, { a: "result of a\n", old: "result of old\n" });
    const again = jobIdIn(await dataset.succeed(["reschedule", `job-${a}`]));
    await jobsAreOver([again]);
  },
  "what a --branches that was killed has left in the work tree is taken off later": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("old", "old\n");
    await dataset.git("annex", "add", "-q", "old");
    await dataset.write("text", "text\n");
    await dataset.git("-c", "annex.largefiles=nothing", "add", "text");
    await dataset.commit("Old");
    const ids = await runJobs(dataset, ["a", "dir/b", "old", "text", "changed", "wanted"]);
    const killed = await runInterposed(dataset, ["finish", "--branches"], {
      program: "git",
      when: "*update-ref*finish*",
      after: "kill -KILL $TOOL",
    });
    assert.equal(killed.code, 137, killed.stderr);
    assert.match(await dataset.git("status", "--porcelain"), /^\?\? a$/m);
    // What the user has done since is the user's.
    await Deno.remove(`${dataset.root}/changed`);
    await dataset.write("changed", "mine\n");
    await dataset.git("checkout", "-q", `job-${ids[5]}`, "--", "wanted");
    await goOn(dataset);
    assert.equal(await dataset.git("status", "--porcelain"), "A  wanted\n?? changed");
    assert.equal(await Deno.readTextFile(`${dataset.root}/old`), "old\n");
    assert.equal(await Deno.readTextFile(`${dataset.root}/text`), "text\n");
    assert.equal(await Deno.readTextFile(`${dataset.root}/changed`), "mine\n");
    await dataset.git("rm", "-q", "-f", "wanted");
    await Deno.remove(`${dataset.root}/changed`);
    await checkNothingIsLeft(dataset);
    for (const id of ids) await dataset.git("merge", "-q", "--no-edit", `job-${id}`);
    for (const file of ["a", "dir/b", "old", "text", "changed", "wanted"]) {
      assert.equal(await Deno.readTextFile(`${dataset.root}/${file}`), `result of ${file}\n`);
    }
    await dataset.git("fsck", "--strict");
    await dataset.git("annex", "fsck", "--quiet");
  },
  "--octopus merges all jobs in one commit, ahead of the branch": async () => {
    await using dataset = await TestDataset.make({ kind: "text2git" });
    const ids = await runJobs(dataset, ["x/a", "x/b", "c"]);
    const tip = await dataset.git("rev-parse", "HEAD");
    await dataset.write("untracked", "mine\n");
    await dataset.write("write.sh", "#!/bin/sh\n# changed\n");
    await dataset.succeed(["finish", "--octopus"]);
    const [merge, ...parents] = (await dataset.git("log", "-1", "--format=%H %P")).split(" ");
    assert.equal(parents[0], tip, "A fast-forward");
    assert.deepEqual(
      parents.slice(1),
      await Promise.all(ids.map((id) => dataset.git("rev-parse", `job-${id}`))),
    );
    for (const id of ids) {
      assert.equal(
        await dataset.git("rev-parse", `job-${id}^`),
        await scheduledAt(dataset, id),
      );
      assert.equal((await changed(dataset, `job-${id}`)).length, 3);
    }
    assert.deepEqual(
      (await changed(dataset, merge ?? "")).length,
      9,
      "The merge has what the jobs have",
    );
    assert.equal(await dataset.git("status", "--porcelain"), " M write.sh\n?? untracked");
    await dataset.git("fsck", "--strict");
    await checkNothingIsLeft(dataset);
    assert.doesNotMatch(
      await dataset.succeed(["status"]),
      new RegExp(`\\b(?:${ids.join("|")})\\b`),
    );
    await dataset.git("checkout", "-q", "--", "write.sh");
    await Deno.remove(`${dataset.root}/untracked`);
    await checkWithDatalad(dataset, { "x/a": "result of x/a\n", c: "result of c\n" });
  },
});
