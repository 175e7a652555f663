import assert from "node:assert/strict";
import { checkDataset, environmentOf } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, datalad, dataladClone, noDatalad } from "../support/datalad.ts";
import { jobIdIn, TestDataset, whenBranchMoves } from "../support/dataset.ts";
import { jobsAreOver, jobsSubmittedBelow, useCluster } from "../support/real_slurm.ts";

useCluster();

/** A dataset with a subdataset `sub`, which has a subdataset `sub/deep`, all saved. */
async function makeNested() {
  const top = await TestDataset.make({ kind: "annex" });
  const sub = top.at(`${top.root}/sub`);
  const deep = top.at(`${top.root}/sub/deep`);
  await datalad(top, "create", "-d", ".", "sub");
  await datalad(sub, "create", "-d", ".", "deep");
  await datalad(top, "save", "-r", "-m", "Subdatasets");
  return { top, sub, deep, base: await top.git("rev-parse", "HEAD") };
}

/** Returns the subject and the record of the last commit. */
async function last(dataset: TestDataset) {
  const message = await dataset.git("log", "-1", "--format=%B");
  const record = JSON.parse(/^\{[^]*^\}/m.exec(message)?.[0] ?? "{}");
  return { subject: message.split("\n")[0], record };
}

/** Returns the commit that a dataset records of a subdataset. */
async function recorded(dataset: TestDataset, path: string): Promise<string> {
  return (await dataset.git("rev-parse", `HEAD:${path}`)).trim();
}

concurrently(noDatalad, {
  "a finish that fails above after it has committed below is made whole by the next one":
    async () => {
      await using top = (await makeNested()).top;
      const sub = top.at(`${top.root}/sub`);
      const ids: string[] = [];
      for (const file of ["sub/one", "sub/deep/two"]) {
        ids.push(await top.schedule(["-o", file, "sbatch", "write.sh", file]));
      }
      await jobsAreOver(ids);
      const hook = await whenBranchMoves(top, "prepared", "exit 1");
      assert.equal((await top.tool(["finish"])).code, 3);
      await Deno.remove(hook);
      const below = await sub.git("rev-parse", "HEAD");
      await top.succeed(["finish"]);
      assert.equal(await recorded(top, "sub"), below);
      assert.equal(await sub.git("rev-parse", "HEAD"), below);
      for (const dataset of [top, sub, top.at(`${top.root}/sub/deep`)]) {
        assert.equal(await dataset.git("status", "--porcelain"), "");
      }
      const subjects = await top.git("log", "-2", "--format=%s");
      for (const id of ids) {
        assert.match(subjects, new RegExp(`Processed batch job ${id}: Complete`));
      }
    },
  "outputs two levels down are committed there, with the record, and recorded above": async () => {
    await using top = (await makeNested()).top;
    const sub = top.at(`${top.root}/sub`);
    const deep = top.at(`${top.root}/sub/deep`);
    const files = ["a", "sub/b", "sub/deep/c/d"];
    const id = await top.schedule([
      ...files.flatMap((file) => ["-o", file]),
      ...["sbatch", "write.sh", ...files],
    ]);
    await jobsAreOver([id]);
    await top.succeed(["finish"]);
    const subject = `[DATALAD FINISH] Processed batch job ${id}: Complete`;
    for (const dataset of [top, sub, deep]) {
      const { subject: found, record } = await last(dataset);
      assert.equal(found, subject);
      assert.equal(record.slurm_job_id, id);
      assert.equal(await dataset.git("status", "--porcelain"), "");
      await dataset.git("fsck", "--strict");
      await dataset.git("annex", "fsck", "--quiet");
    }
    assert.equal(await recorded(top, "sub"), await sub.git("rev-parse", "HEAD"));
    assert.equal(await recorded(sub, "deep"), await deep.git("rev-parse", "HEAD"));
    assert.equal(await deep.git("show", "--format=", "--name-only", "HEAD"), "c/d");
    assert.equal(
      await top.git("show", "--format=", "--name-only", "HEAD"),
      ["a", `slurm-${id}.out`, `slurm-job-${id}.env.json`, "sub"].join("\n"),
    );
    for (const branch of [sub, deep]) {
      assert.match(await branch.git("symbolic-ref", "HEAD"), /^refs\/heads\//);
    }
    await checkWithDatalad(top, {
      "a": "result of a\n",
      "sub/b": "result of sub/b\n",
      "sub/deep/c/d": "result of sub/deep/c/d\n",
    });
  },
  "outputs in a subdataset that is not installed yet are committed there": async () => {
    await using top = (await makeNested()).top;
    const clone = await dataladClone(top);
    const deep = clone.at(`${clone.root}/sub/deep`);
    const id = await clone.schedule(["-o", "sub/deep/c", "sbatch", "write.sh", "sub/deep/c"]);
    await jobsAreOver([id]);
    await clone.succeed(["finish"]);
    assert.equal((await last(deep)).record.slurm_job_id, id);
    assert.equal(await clone.git("status", "--porcelain"), "");
    assert.match(await deep.git("symbolic-ref", "HEAD"), /^refs\/heads\//);
    assert.equal(await datalad(clone, "status", "-r"), "nothing to save, working tree clean\n");
    // The clone of the clone looks for the subdataset in the clone.
    await checkWithDatalad(clone, { "sub/deep/c": "result of sub/deep/c\n" });
  },
  "a job scheduled from inside a subdataset belongs to it, and with -d ^ to the topmost":
    async () => {
      await using top = (await makeNested()).top;
      const sub = top.at(`${top.root}/sub`);
      const deep = top.at(`${top.root}/sub/deep`);
      const before = await top.git("rev-parse", "HEAD");
      const inner = await deep.git("rev-parse", "HEAD");
      const id = await deep.schedule(["-o", "x", "sbatch", "../../write.sh", "x"]);
      await jobsAreOver([id]);
      await deep.succeed(["finish"]);
      await checkDataset(deep, {
        base: inner,
        finished: {
          [id]: {
            x: "result of x\n",
            [`slurm-${id}.out`]: "wrote x\n",
            [`slurm-job-${id}.env.json`]: environmentOf(id),
          },
        },
      });
      assert.equal(await top.git("rev-parse", "HEAD"), before);
      await datalad(top, "save", "-r", "-m", "New state");
      const second = jobIdIn(
        await deep.succeed(["schedule", "-d", "^", "-o", "y", "sbatch", "../../write.sh", "y"]),
      );
      assert.equal((await last(top)).record.slurm_job_id, second);
      assert.deepEqual((await last(top)).record.outputs, ["sub/deep/y"]);
      assert.equal((await last(top)).record.pwd, "sub/deep");
      await jobsAreOver([second]);
      await deep.succeed(["finish", "-d", "^"]);
      assert.equal(await recorded(top, "sub"), await sub.git("rev-parse", "HEAD"));
      await checkWithDatalad(top, { "sub/deep/y": "result of y\n" });
    },
  "a job of the dataset above is not run again in the subdataset": async () => {
    await using top = (await makeNested()).top;
    const sub = top.at(`${top.root}/sub`);
    const id = await top.schedule(["-o", "sub/out", "sbatch", "write.sh", "sub/out"]);
    await jobsAreOver([id]);
    await top.succeed(["finish"]);
    const { code, stderr } = await sub.tool(["reschedule", "HEAD"]);
    assert.equal(code, 1);
    assert.match(stderr, /was submitted in the dataset above, .*\nHint: Run it there: .* -d /);
    assert.deepEqual(await jobsSubmittedBelow(top.root), [id]);
    await sub.succeed(["reschedule", "-d", "^", "HEAD"]);
  },
  "a repository that a job has made is told of, and keeps no job from being finished": async () => {
    await using dataset = await TestDataset.make();
    const command = "git init -q repo; echo a >repo/a; echo b >b";
    const id = await dataset.schedule(["-o", "repo", "-o", "b", "sbatch", "--wrap", command]);
    await jobsAreOver([id]);
    const { code, stdout, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^Job ${id}: Complete, committed as`));
    assert.match(stderr, /"repo" was not committed: it is a repository of its own/);
  },
  "what the user has committed in a subdataset is recorded by the user": async () => {
    await using top = (await makeNested()).top;
    const sub = top.at(`${top.root}/sub`);
    await sub.write("note", "mine\n");
    await datalad(sub, "save", "-m", "Mine");
    const before = await recorded(top, "sub");
    const id = await top.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await top.succeed(["finish"]);
    assert.equal(await recorded(top, "sub"), before);
    assert.equal(await top.git("status", "--porcelain"), " M sub");
    assert.equal((await last(sub)).subject, "Mine");
  },
  "jobs of a dataset and of its subdataset cannot share an output, whoever comes first":
    async () => {
      await using top = (await makeNested()).top;
      const sub = top.at(`${top.root}/sub`);
      const held = ["sbatch", "-H", "--wrap", "true"];
      const above = await top.schedule(["-o", "sub/out", ...held]);
      const below = await sub.tool(["schedule", "-o", "out/x", ...held]);
      assert.equal(below.code, 1);
      assert.match(below.stderr, /"out\/x" overlaps with "out", which is held by .* above/);
      const own = await sub.schedule(["-o", "mine", ...held]);
      const other = await top.tool(["schedule", "-o", "sub/mine", ...held]);
      assert.equal(other.code, 1);
      assert.match(other.stderr, /"sub\/mine" is held by/);
      assert.deepEqual(await jobsSubmittedBelow(top.root), [above, own]);
      await sub.schedule(["-o", "free", ...held]);
      assert.equal((await jobsSubmittedBelow(top.root)).length, 3);
    },
  "a worktree, a detached HEAD in it, and a .git file work like a plain repository": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const tree = dataset.at(`${dataset.scratch.directory}/tree`);
    await dataset.git("worktree", "add", "-q", "-b", "side", tree.root);
    const id = await tree.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    assert.doesNotMatch(await dataset.succeed(["status"]), new RegExp(`\\b${id}\\b`));
    await tree.succeed(["finish"]);
    assert.equal(await tree.git("symbolic-ref", "HEAD"), "refs/heads/side");
    assert.equal(await tree.git("status", "--porcelain"), "");
    await tree.git("checkout", "-q", "--detach");
    const second = await tree.schedule(["-o", "two", "sbatch", "write.sh", "two"]);
    await jobsAreOver([second]);
    await tree.succeed(["finish"]);
    assert.equal(
      (await last(tree)).subject,
      `[DATALAD FINISH] Processed batch job ${second}: Complete`,
    );
    assert.equal(await tree.git("rev-parse", "side"), await tree.git("rev-parse", "HEAD~2"));
    assert.equal(await tree.git("status", "--porcelain"), "");
    assert.equal(await dataset.git("rev-parse", "HEAD"), base);
    assert.equal(await dataset.git("status", "--porcelain"), "");
    await dataset.git("merge", "-q", "--ff-only", await tree.git("rev-parse", "HEAD"));
    await tree.git("annex", "fsck", "--quiet");
    await checkWithDatalad(dataset, { out: "result of out\n", two: "result of two\n" });

    // The git directory elsewhere, as `git init --separate-git-dir` makes it.
    const apart = dataset.at(`${dataset.scratch.directory}/apart`);
    await dataset.run([
      ...["git", "clone", "-q", "--separate-git-dir", `${apart.root}.git`],
      ...[dataset.root, apart.root],
    ]);
    const third = await apart.schedule(["-o", "three", "sbatch", "write.sh", "three"]);
    await jobsAreOver([third]);
    await apart.succeed(["finish"]);
    assert.equal(await apart.git("status", "--porcelain"), "");
    assert.equal((await last(apart)).record.slurm_job_id, third);
  },
  "on a detached HEAD the commits follow it, and the branch stays": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.git("checkout", "-q", "--detach");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    assert.equal(await dataset.git("rev-parse", "main"), base);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          out: "result of out\n",
          [`slurm-${id}.out`]: "wrote out\n",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "an adjusted branch is refused, with the way out": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.git("annex", "adjust", "-q", "--unlock");
    const before = await dataset.git("rev-parse", "HEAD");
    const args = ["schedule", "-o", "out", "sbatch", "write.sh", "out"];
    const { code, stderr } = await dataset.tool(args);
    assert.equal(code, 1);
    assert.match(stderr, /adjusted branch "adjusted\/main\(unlocked\)"\nHint: .*git checkout main/);
    assert.equal(await dataset.git("rev-parse", "HEAD"), before);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), []);
    await dataset.git("checkout", "-q", "main");
    await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
  },
});
