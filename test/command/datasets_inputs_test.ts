import assert from "node:assert/strict";
import { checkDataset, logs, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, dataladClone, noDatalad } from "../support/datalad.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, jobsSubmittedBelow, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Makes a dataset with annexed data, and a clone of it that has none of the content. */
async function makeClone(source: TestDataset): Promise<TestDataset> {
  for (const name of ["a.csv", "b.csv", "deep/c.csv", "other.txt"]) {
    await source.write(`data/${name}`, `content of ${name}\n`);
  }
  await source.git("annex", "add", "-q", "data");
  await source.commit("Data");
  return await dataladClone(source);
}

/** Returns which of the files have their content. */
async function present(dataset: TestDataset, ...paths: string[]): Promise<string[]> {
  const found = await dataset.git("annex", "find", ...paths);
  return found === "" ? [] : found.split("\n").toSorted();
}

/** Runs `schedule`, which must refuse, and asserts that nothing was submitted or changed. */
async function refused(
  dataset: TestDataset,
  args: readonly string[],
  message: RegExp,
): Promise<void> {
  const before = await dataset.git("rev-parse", "HEAD");
  const jobs = await jobsSubmittedBelow(dataset.root);
  const { code, stderr } = await dataset.tool(["schedule", ...args]);
  assert.match(stderr, message);
  assert.notEqual(code, 0);
  assert.equal(await dataset.git("rev-parse", "HEAD"), before);
  assert.deepEqual(await jobsSubmittedBelow(dataset.root), jobs, "Nothing was submitted");
  await checkDataset(dataset, { base: before });
}

/** Clones a dataset as git alone does, whose annex nobody has initialised yet. */
async function gitClone(source: TestDataset): Promise<TestDataset> {
  const root = `${source.scratch.directory}/git-clone`;
  await source.git("clone", "-q", source.root, root);
  return source.at(root);
}

concurrently(false, {
  "in a clone by git clone the annex is initialised, once by many at once, and takes the results":
    async () => {
      await using source = await TestDataset.make({ kind: "annex" });
      await source.write("data/a.csv", "content of a.csv\n");
      await source.git("annex", "add", "-q", "data");
      await source.commit("Data");
      const clone = await gitClone(source);
      const base = await clone.git("rev-parse", "HEAD");
      const names = ["a", "b", "c", "d"];
      const ids = await Promise.all(
        names.map((name) =>
          clone.schedule(["-i", "data", "-o", name, `sbatch --wrap 'cat data/a.csv > ${name}'`])
        ),
      );
      await jobsAreOver(ids);
      await clone.succeed(["finish"]);
      assert.deepEqual(await present(clone, ...names), names);
      const finished = ids.map((id, at) => [id, {
        [names[at] ?? ""]: "content of a.csv\n",
        ...logs(id),
      }]);
      await checkDataset(clone, { base, finished: Object.fromEntries(finished) });
    },
  "what is finished or run again in a clone by git clone goes into its annex": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    const first = await source.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([first]);
    await source.succeed(["finish"]);
    const clone = await gitClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    const other = await clone.schedule(["-o", "other", "sbatch", "write.sh", "other"]);
    const again = jobIdIn(await clone.succeed(["reschedule", "HEAD~1"]));
    await jobsAreOver([other, again]);
    await clone.succeed(["finish"]);
    assert.deepEqual(await present(clone, "other", "out"), ["other", "out"]);
    const { out: _, ...unchanged } = written(again, ["out"]);
    const finished = { [other]: written(other, ["other"]), [again]: unchanged };
    await checkDataset(clone, { base, finished });
  },
  "what is behind an input that is a link to a directory is fetched and pinned, and copied along":
    async () => {
      await using source = await TestDataset.make({ kind: "annex" });
      await source.write("data/a.csv", "content of a.csv\n");
      await source.git("annex", "add", "-q", "data");
      await Deno.symlink("data", `${source.root}/in`);
      await source.commit("Data");
      const clone = await gitClone(source);
      const tree = await clone.git("rev-parse", "HEAD:data");
      const args = ["-i", "in", "-o", "out", "sbatch --wrap 'cat in/*.csv > out'"];
      const run = async (...options: string[]) => {
        const id = await clone.schedule([...options, ...args]);
        const { inputs, datalad_slurm } = await clone.record();
        assert.deepEqual(inputs, ["in"]);
        assert.deepEqual(datalad_slurm.inputs, { data: tree, in: "-> data" });
        assert.equal(datalad_slurm.differs, undefined);
        await jobsAreOver([id]);
        await clone.succeed(["finish"]);
      };
      await run();
      assert.equal(await Deno.readTextFile(`${clone.root}/out`), "content of a.csv\n");
      const elsewhere = `${clone.scratch.directory}/elsewhere`;
      await run("--alt-dir", elsewhere);
      assert.equal(await Deno.readTextFile(`${elsewhere}/in/a.csv`), "content of a.csv\n");
    },
  "where annex.autoinit or .noannex forbids it no annex is initialised": async () => {
    for (const forbid of ["git config annex.autoinit false", "touch .noannex"]) {
      await using source = await TestDataset.make({ kind: "annex" });
      const clone = await gitClone(source);
      await clone.run(["sh", "-c", forbid]);
      const base = await clone.git("rev-parse", "HEAD");
      const id = await clone.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
      await jobsAreOver([id]);
      await clone.succeed(["finish"]);
      const finished = { [id]: written(id, ["out"]) };
      const status = forbid.startsWith("touch") ? ["?? .noannex"] : [];
      await checkDataset(clone, { base, finished, status, skipAnnex: true });
      assert.equal((await clone.run(["git", "config", "annex.uuid"])).code, 1);
    }
  },
});

concurrently(noDatalad, {
  "inputs by glob, directory and name are fetched before the submission, others are not":
    async () => {
      await using source = await TestDataset.make({ kind: "annex" });
      const clone = await makeClone(source);
      const base = await clone.git("rev-parse", "HEAD");
      const id = await clone.schedule([
        ...["-i", "data/*.csv", "-i", "data/deep", "-J", "2", "-o", "out/all"],
        "sbatch --wrap 'mkdir -p out && cat {inputs[0]} {inputs[1]} data/deep/* >out/all'",
      ]);
      assert.deepEqual(
        await present(clone, "data"),
        ["data/a.csv", "data/b.csv", "data/deep/c.csv"],
      );
      await jobsAreOver([id]);
      await clone.succeed(["finish"]);
      const all = "content of a.csv\ncontent of b.csv\ncontent of deep/c.csv\n";
      await checkDataset(clone, {
        base,
        finished: {
          [id]: {
            "out/all": all,
            ...logs(id),
          },
        },
      });
      await checkWithDatalad(clone, { "out/all": all });
    },
  "-i . fetches everything, also unlocked files that hold a pointer": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    await source.write("data/unlocked", "unlocked content\n");
    await source.git("annex", "add", "-q", "data");
    await source.git("annex", "unlock", "-q", "data/unlocked");
    const clone = await makeClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    assert.match(await Deno.readTextFile(`${clone.root}/data/unlocked`), /^\/annex\/objects\//);
    const id = await clone.schedule(["-i", ".", "-o", "out", "sbatch", "-H", "write.sh", "out"]);
    assert.equal(await Deno.readTextFile(`${clone.root}/data/unlocked`), "unlocked content\n");
    assert.equal((await present(clone, "data")).length, 5);
    await checkDataset(clone, { base, open: [id] });
  },
  "content that cannot be had is named, and nothing is submitted": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    const clone = await makeClone(source);
    await source.git("annex", "drop", "-q", "--force", "data/b.csv");
    await refused(
      clone,
      ["-i", "data/*.csv", "-o", "out", "sbatch", "write.sh", "out"],
      /1 of the inputs cannot be had, such as "data\/b\.csv"/,
    );
    assert.deepEqual(await present(clone, "data"), ["data/a.csv"]);
    await refused(
      clone,
      ["-i", "data/a.csv", "-i", "nowhere", "-o", "out", "sbatch", "write.sh", "out"],
      /The input "nowhere" does not exist/,
    );
    await refused(
      clone,
      ["-i", "*.nothing", "-o", "out", "sbatch", "write.sh", "out"],
      /No file matches the input "\*\.nothing"/,
    );
    const base = await clone.git("rev-parse", "HEAD");
    const id = await clone.schedule([
      ...["-i", "data/*.csv", "-i", "nowhere", "--assume-ready", "inputs", "-o", "out"],
      ...["sbatch", "-H", "write.sh", "out"],
    ]);
    await checkDataset(clone, { base, open: [id] });
  },
  "--expand records what globs stand for, and globs without a match as they are": async () => {
    await using dataset = await TestDataset.make();
    for (const name of ["b.csv", "a.csv", "old.dat"]) await dataset.write(name, "x\n");
    const base = await dataset.commit("Files");
    const paths = ["-i", "*.csv", "-o", "*.dat", "-o", "new/*.dat"];
    const recorded = async (...expand: string[]) => {
      await dataset.schedule([...expand, ...paths, "sbatch", "-H", "write.sh"]);
      const message = await dataset.git("log", "-1", "--format=%B");
      const { inputs, outputs } = JSON.parse(/^\{[^]*^\}/m.exec(message)?.[0] ?? "");
      await dataset.git("reset", "-q", "--hard", base);
      await Deno.remove(`${dataset.root}/.git/datalad-slurm`, { recursive: true });
      return { inputs, outputs };
    };
    const globs = { inputs: ["*.csv"], outputs: ["*.dat", "new/*.dat"] };
    const expanded = { inputs: ["a.csv", "b.csv"], outputs: ["old.dat", "new/*.dat"] };
    assert.deepEqual(await recorded(), globs);
    assert.deepEqual(await recorded("--expand", "inputs"), { ...globs, inputs: expanded.inputs });
    assert.deepEqual(await recorded("--expand=outputs"), { ...globs, outputs: expanded.outputs });
    assert.deepEqual(await recorded("--expand", "both"), expanded);
  },
  "an input in a subdataset two levels down is installed and fetched": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    const { directory } = source.scratch;
    for (const [name, below] of [["inner", undefined], ["middle", "inner"]] as const) {
      const root = `${directory}/${name}`;
      await source.run(["git", "init", "-q", root]);
      const one = source.at(root);
      await one.git("annex", "init", "-q", name);
      if (below === undefined) {
        await one.write("data/x", "deep content\n");
        await one.git("annex", "add", "-q", "data");
      } else {
        await one.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", `../${below}`);
      }
      await one.commit("First");
    }
    await source.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", "../middle");
    await source.commit("Subdataset");
    const clone = await dataladClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    const job = ["-i", "middle/inner/data/*", "-o", "out", "sbatch --wrap 'cat {inputs} >out'"];
    await clone.succeed(["schedule", "--dry-run", ...job]);
    await clone.succeed(["schedule", "--dry-run", "--batch", "-", ...job.slice(0, 2)], {
      stdin: '{"outputs": "out", "command": "sbatch --wrap true"}\n',
    });
    assert.deepEqual([...Deno.readDirSync(`${clone.root}/middle`)], []);
    const id = await clone.schedule(job);
    await jobsAreOver([id]);
    await clone.succeed(["finish"]);
    await checkDataset(clone, {
      base,
      finished: {
        [id]: {
          out: "deep content\n",
          ...logs(id),
        },
      },
    });
    await checkWithDatalad(clone, { out: "deep content\n" });
  },
});
