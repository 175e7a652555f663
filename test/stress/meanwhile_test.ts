import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, noRealSlurm, until, useCluster } from "../support/real_slurm.ts";
import { goOn } from "./crashes.ts";
import { runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

useCluster();

/** The moments of a finish at which somebody else does something. */
const MOMENTS: Readonly<Record<string, string>> = {
  "after Slurm was asked": "*var*GIT_AUTHOR*",
  "while the commits are made": "*fast-import*",
};

/** The moment at which the finish holds git's own lock of the index, as `git commit` does. */
const MOVING = "*update-ref*finish*";

/** A dataset with a commit of the user's and one job that is over. */
async function withJob(kind: DatasetKind = "git"): Promise<{
  dataset: TestDataset;
  base: string;
  id: string;
}> {
  const dataset = await TestDataset.make({ kind });
  const base = await dataset.git("rev-parse", "HEAD");
  await dataset.write("mine", "one\n");
  await dataset.commit("Mine");
  const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
  await jobsAreOver([id]);
  return { dataset, base, id };
}

const tests: Record<string, () => Promise<void>> = {};

for (const [name, when] of Object.entries(MOMENTS)) {
  tests[`the user commits everything that is staged ${name}: both commits hold just their own`] =
    async () => {
      const { dataset, base, id } = await withJob();
      await using _ = dataset;
      await dataset.write("staged", "staged\n");
      await dataset.git("add", "staged");
      const ran = await runInterposed(dataset, ["finish"], {
        program: "git",
        when,
        before: "git commit -q -m Theirs",
      });
      assert.equal(ran.code, 0, ran.stderr);
      assert.equal(await dataset.git("show", "--format=", "--name-only", ":/Theirs"), "staged");
      await checkDataset(dataset, {
        base,
        finished: { [id]: written(id, ["out"]) },
        others: ["Mine", "Theirs"],
      });
      await survey(dataset);
    };
  tests[`what the user stages ${name} stays staged and stays out`] = async () => {
    const { dataset, base, id } = await withJob();
    await using _ = dataset;
    await dataset.write("staged", "staged\n");
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when,
      before: "git add staged",
    });
    assert.equal(ran.code, 0, ran.stderr);
    await checkDataset(dataset, {
      base,
      finished: { [id]: written(id, ["out"]) },
      others: ["Mine"],
      status: ["A  staged"],
    });
  };
  tests[`the user amends the last commit ${name}: nothing is lost`] = async () => {
    const { dataset, base, id } = await withJob();
    await using _ = dataset;
    await dataset.write("later", "later\n");
    await dataset.git("add", "later");
    await dataset.git("commit", "-q", "-m", "Later");
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when,
      before: "git commit -q --amend -m Amended",
    });
    assert.equal(ran.code, 0, ran.stderr);
    await checkDataset(dataset, {
      base,
      finished: { [id]: written(id, ["out"]) },
      others: ["Mine", "Amended"],
    });
  };
  tests[`the user rebases the schedule commit ${name}: nothing is lost`] = async () => {
    const { dataset, base, id } = await withJob();
    await using _ = dataset;
    // Another date, so that the commits are others.
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when,
      before: `GIT_COMMITTER_DATE=2026-01-05T00:00:00Z git -c rebase.autoStash=false rebase -q ` +
        `--force-rebase --keep-empty ${base}`,
    });
    assert.equal(ran.code, 0, ran.stderr);
    await checkDataset(dataset, {
      base,
      finished: { [id]: written(id, ["out"]) },
      others: ["Mine"],
    });
    await survey(dataset);
  };
  tests[`the user switches to another branch ${name}: refused, and finished later`] = async () => {
    const { dataset, base, id } = await withJob();
    await using _ = dataset;
    await dataset.git("branch", "other", base);
    const ran = await runInterposed(dataset, ["finish"], {
      program: "git",
      when,
      before: "git switch -q other",
    });
    if (ran.code === 0) {
      // git has moved the branch, whatever is checked out: the commit is where it belongs.
      assert.match(await dataset.git("log", "-1", "--format=%s", "main"), /^\[DATALAD FINISH\]/);
    } else {
      assert.equal(ran.code, 1, ran.stderr);
      assert.match(ran.stderr, /switched to refs\/heads\/other|on branch/);
      assert.equal(await dataset.git("rev-parse", "other"), base);
    }
    await dataset.run(["git", "switch", "--force", "main"]);
    await goOn(dataset);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: { [id]: written(id, ["out"]) },
      others: ["Mine"],
    });
  };
  tests[`the user resets the branch ${name}: refused, and nothing of theirs is undone`] =
    async () => {
      const { dataset, base, id } = await withJob();
      await using _ = dataset;
      const old = await dataset.git("rev-parse", "HEAD");
      const ran = await runInterposed(dataset, ["finish"], {
        program: "git",
        when,
        before: `git reset -q --hard ${base}`,
      });
      assert.equal(ran.code, 1, ran.stderr);
      assert.match(ran.stdout, new RegExp(`Job ${id}: its schedule commit was taken off`));
      assert.equal(await dataset.git("rev-parse", "HEAD"), base);
      assert.equal(await dataset.git("diff", "--cached", "--name-only"), "");
      assert.equal(await Deno.readTextFile(`${dataset.root}/out`), "result of out\n");
      await dataset.git("fsck", "--strict", "--no-dangling");
      // Once the commit is back, nothing is missing.
      await dataset.git("reset", "-q", "--hard", old);
      await goOn(dataset);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, {
        base,
        finished: { [id]: written(id, ["out"]) },
        others: ["Mine"],
      });
    };
}

for (const command of ["git commit -q -m Theirs", "git add staged", "git switch -q other"]) {
  tests[`\`${command}\` just when the branch is moved is shut out by git's own lock`] =
    async () => {
      const { dataset, base, id } = await withJob();
      await using _ = dataset;
      await dataset.git("branch", "other", base);
      await dataset.write("staged", "staged\n");
      if (/commit/.test(command)) await dataset.git("add", "staged");
      const ran = await runInterposed(dataset, ["finish"], {
        program: "git",
        when: MOVING,
        before: `${command}; echo "ended with $?" >>"$HOME/said"`,
      });
      assert.equal(ran.code, 0, ran.stderr);
      const said = await Deno.readTextFile(`${dataset.scratch.directory}/home/said`);
      assert.match(said, /^ended with (?!0)\d+$/m);
      await checkDataset(dataset, {
        base,
        finished: { [id]: written(id, ["out"]) },
        others: ["Mine"],
        status: [/commit/.test(command) ? "A  staged" : "?? staged"],
      });
    };
}

tests["a commit that comes without the index just when the branch is moved is kept"] = async () => {
  const { dataset, base, id } = await withJob();
  await using _ = dataset;
  const ran = await runInterposed(dataset, ["finish"], {
    program: "git",
    when: MOVING,
    before: "git update-ref HEAD $(git commit-tree -p HEAD -m Theirs HEAD^{tree})",
  });
  assert.equal(ran.code, 0, ran.stderr);
  await checkDataset(dataset, {
    base,
    finished: { [id]: written(id, ["out"]) },
    others: ["Mine", "Theirs"],
  });
  await survey(dataset);
};

tests["an index.lock of somebody else is waited for"] = async () => {
  const { dataset, base, id } = await withJob();
  await using _ = dataset;
  const lock = `${dataset.root}/.git/index.lock`;
  await Deno.writeTextFile(lock, "");
  const finishing = dataset.tool(["finish"]);
  await until(
    "the commits are made and wait for the index",
    async () => await dataset.git("for-each-ref", "refs/datalad-slurm/finishing") !== "",
  );
  await Deno.remove(lock);
  const { code, stderr } = await finishing;
  assert.equal(code, 0, stderr);
  await checkDataset(dataset, {
    base,
    finished: { [id]: written(id, ["out"]) },
    others: ["Mine"],
  });
};

tests["a stale index.lock keeps a finish waiting, but no schedule"] = async () => {
  const { dataset, base, id } = await withJob();
  await using _ = dataset;
  const lock = `${dataset.root}/.git/index.lock`;
  await Deno.writeTextFile(lock, "");
  const finishing = dataset.tool(["finish"]);
  await until(
    "the commits are made and wait for the index",
    async () => await dataset.git("for-each-ref", "refs/datalad-slurm/finishing") !== "",
  );
  const other = ["-o", "other", "--lock-timeout", "30", "sbatch", "-H", "write.sh", "other"];
  const open = await dataset.schedule(other);
  await Deno.remove(lock);
  const { code, stderr } = await finishing;
  assert.equal(code, 0, stderr);
  await checkDataset(dataset, {
    base,
    open: [open],
    finished: { [id]: written(id, ["out"]) },
    others: ["Mine"],
  });
};

concurrently(noRealSlurm, tests);
