import assert from "node:assert/strict";
import { checkDataset, type Content, logs } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import {
  checkWithDatalad,
  dataladClone,
  noDatalad,
  type UserWork,
  userWork,
} from "../support/datalad.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, noRealSlurm, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Commits a batch script that does what the lines say. */
async function script(dataset: TestDataset, lines: string): Promise<string> {
  await dataset.write("job.sh", `#!/bin/sh\nset -e\n${lines}\n`);
  return await dataset.commit("Job");
}

/** Runs `job.sh` with these outputs, finishes it, and returns its id. */
async function runJob(dataset: TestDataset, ...args: string[]): Promise<string> {
  const id = await dataset.schedule([...args, "sbatch", "job.sh"]);
  await jobsAreOver([id]);
  await dataset.succeed(["finish"]);
  return id;
}

async function looseObjects(dataset: TestDataset): Promise<number> {
  return Number(/^count: (\d+)$/m.exec(await dataset.git("count-objects", "-v"))?.[1]);
}

/** Makes a dataset with annexed, committed results in `out/`. */
async function makeResults(
  kind: "annex" | "text2git" = "annex",
  ...files: string[]
): Promise<TestDataset> {
  const dataset = await TestDataset.make({ kind });
  for (const file of files) await dataset.write(`out/${file}`, `old ${file}\n`);
  await dataset.git("annex", "add", "-q", "--force-large", "out");
  await dataset.commit("Old results");
  return dataset;
}

concurrently(noDatalad, {
  "many files are stored together, each as git's attributes have it": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write(".gitattributes", "*.txt text\n");
    const base = await script(
      dataset,
      'mkdir out; for i in $(seq 60); do printf "$i\\r\\n" >out/$i.txt; cp out/$i.txt out/$i; done',
    );
    const looseBefore = await looseObjects(dataset);
    const id = await runJob(dataset, "-o", "out");
    // As many as the files with line ends of git's.
    assert.ok(await looseObjects(dataset) < looseBefore + 80);
    const numbers = Array.from({ length: 60 }, (_, index) => index + 1);
    const files = numbers.flatMap((i): [string, Content][] => [
      [`out/${i}.txt`, `${i}\n`],
      [`out/${i}`, `${i}\r\n`],
    ]);
    await checkDataset(dataset, {
      base,
      finished: { [id]: { ...Object.fromEntries(files), ...logs(id) } },
    });
  },
  "a job overwrites locked and unlocked files, and the user's work stays as it is": async () => {
    await using dataset = await makeResults("annex", "locked", "unlocked", "kept");
    await dataset.git("annex", "unlock", "-q", "out/unlocked");
    await dataset.commit("Unlock one");
    const base = await script(
      dataset,
      "for f in locked unlocked; do echo new $f >out/$f; done; echo more >out/more",
    );
    const work: UserWork = await userWork(dataset);
    const id = await runJob(dataset, "-o", "out");
    await work.check();
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out/locked": "new locked\n",
          "out/unlocked": "new unlocked\n",
          "out/more": "more\n",
          ...logs(id),
        },
      },
      status: work.status,
      // The former content is in history only.
      skipAnnex: false,
    });
    await dataset.git("reset", "-q", "--hard");
    await Deno.remove(`${dataset.root}/mine-new`);
    await checkWithDatalad(dataset, {
      "out/locked": "new locked\n",
      "out/unlocked": "new unlocked\n",
      "out/kept": "old kept\n",
    });
  },
  "absent content of an output is no obstacle, and what the job leaves alone comes back":
    async () => {
      await using source = await makeResults("annex", "replaced", "left");
      await script(source, "echo new >out/replaced");
      const clone = await dataladClone(source);
      const base = await clone.git("rev-parse", "HEAD");
      const id = await runJob(clone, "-o", "out/replaced", "-o", "out/never");
      await checkDataset(clone, {
        base,
        finished: { [id]: { "out/replaced": "new\n", ...logs(id) } },
      });
      await checkWithDatalad(clone, { "out/replaced": "new\n" });
    },
  "absent outputs that a job does not write stay in the dataset": async () => {
    await using source = await makeResults("annex", "replaced", "left");
    await script(source, "echo new >out/replaced");
    const clone = await dataladClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    const id = await runJob(clone, "-o", "out");
    await checkDataset(clone, {
      base,
      finished: { [id]: { "out/replaced": "new\n", ...logs(id) } },
    });
    await checkWithDatalad(clone, { "out/replaced": "new\n", "out/left": "old left\n" });
  },
  "a submission that fails leaves outputs locked and links as they were": async () => {
    await using source = await makeResults("annex", "absent", "here");
    await script(source, "true");
    const clone = await dataladClone(source);
    await clone.git("annex", "get", "-q", "out/here");
    const base = await clone.git("rev-parse", "HEAD");
    // The stand-in has no partitions.
    const wrong = noRealSlurm ? "--no-such-option" : "--partition=none";
    const { code } = await clone.tool(["schedule", "-o", "out", "sbatch", wrong, "job.sh"]);
    assert.equal(code, 3);
    await checkDataset(clone, { base });
    assert.match(await Deno.readLink(`${clone.root}/out/here`), /annex/);
    await checkWithDatalad(clone, { "out/here": "old here\n" });
  },
  "annex.thin, and rules for what is annexed: everything goes where it belongs": async () => {
    await using dataset = await makeResults("text2git", "thin");
    await dataset.git("config", "annex.thin", "true");
    await dataset.git("annex", "unlock", "-q", "out/thin");
    await dataset.commit("Unlock");
    const base = await script(
      dataset,
      "echo new >out/thin; echo text >out/text; printf '\\0\\1' >out/binary; : >out/empty; " +
        "echo out/x >out/.hidden; chmod +x out/text",
    );
    const id = await runJob(dataset, "-o", "out");
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out/thin": "new\n",
          "out/text": { executable: "text\n" },
          "out/binary": "\0\x01",
          "out/empty": "",
          "out/.hidden": "out/x\n",
          ...logs(id),
        },
      },
    });
    assert.equal(await dataset.git("annex", "find", "out"), "out/binary");
    await checkWithDatalad(dataset, { "out/thin": "new\n", "out/binary": "\0\x01" });
  },
  "links, deleted files, and files in place of directories and the other way round": async () => {
    await using dataset = await makeResults(
      "annex",
      "f2d",
      "d2f/a",
      "d2f/b/c",
      "f2l",
      "gone",
      "same",
    );
    const base = await script(
      dataset,
      "cd out; rm -rf f2d d2f f2l gone; mkdir f2d; echo i >f2d/inner; echo flat >d2f; " +
        "ln -s same f2l; ln -s ../nowhere dangling; ln -s f2d to-directory",
    );
    const id = await runJob(dataset, "-o", "out");
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out/f2d": null,
          "out/f2d/inner": "i\n",
          "out/d2f/a": null,
          "out/d2f/b/c": null,
          "out/d2f": "flat\n",
          "out/f2l": { link: "same" },
          "out/gone": null,
          "out/dangling": { link: "../nowhere" },
          "out/to-directory": { link: "f2d" },
          ...logs(id),
        },
      },
    });
    await checkWithDatalad(dataset, { "out/f2d/inner": "i\n", "out/d2f": "flat\n" });
  },
  "an output that is an input too is read before it is written": async () => {
    await using source = await makeResults("annex", "count");
    await script(source, "cat out/count out/count >new; cat new >out/count; rm new");
    const clone = await dataladClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    const id = await runJob(clone, "-i", "out/count", "-o", "out/count");
    const twice = "old count\nold count\n";
    await checkDataset(clone, { base, finished: { [id]: { "out/count": twice, ...logs(id) } } });
    await checkWithDatalad(clone, { "out/count": twice });
  },
  "globs are resolved at finish, and take along what they matched and is deleted": async () => {
    await using dataset = await makeResults("annex", "old.csv", "deep/old.csv", "old.txt");
    const base = await script(
      dataset,
      "rm out/*.csv out/*.txt; for f in a.csv b.txt deep/c.csv deep/er/d.csv; do " +
        "mkdir -p $(dirname out/$f); echo $f >out/$f; done",
    );
    const id = await runJob(dataset, "-o", "out/*.csv", "-o", "out/deep/**/*.csv");
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out/old.csv": null,
          "out/a.csv": "a.csv\n",
          "out/deep/c.csv": "deep/c.csv\n",
          "out/deep/er/d.csv": "deep/er/d.csv\n",
          ...logs(id),
        },
      },
      status: [" D out/old.txt", "?? out/b.txt"],
    });
  },
  "finish -o adds outputs to one job": async () => {
    await using dataset = await makeResults("annex", "old");
    const base = await script(dataset, "echo a >a; echo b >b.csv; echo c >c.csv");
    const id = await dataset.schedule(["-o", "a", "sbatch", "job.sh"]);
    await jobsAreOver([id]);
    const refused = await dataset.tool(["finish", "-o", "b.csv"]);
    assert.deepEqual([refused.code, refused.stdout], [2, ""]);
    assert.match(refused.stderr, /Outputs can be added to one job only/);
    await dataset.succeed(["finish", id, "-o", "*.csv"]);
    await checkDataset(dataset, {
      base,
      finished: { [id]: { a: "a\n", "b.csv": "b\n", "c.csv": "c\n", ...logs(id) } },
    });
    await checkWithDatalad(dataset, { a: "a\n", "c.csv": "c\n" });
  },
});

/** Makes a dataset with a directory `results` and links to it, to a file and to nowhere. */
async function makeLinks(kind: "git" | "annex"): Promise<TestDataset> {
  const dataset = await TestDataset.make({ kind });
  await dataset.write("results/old", "old\n");
  await dataset.write("write.sh", '#!/bin/sh\nfor file; do echo "new $file" >"$file"; done\n');
  await Deno.symlink("results", `${dataset.root}/out`);
  await Deno.symlink("out", `${dataset.root}/again`);
  await Deno.symlink("results/old", `${dataset.root}/file`);
  await Deno.symlink("nowhere", `${dataset.root}/dangling`);
  await dataset.commit("Links");
  return dataset;
}

concurrently(
  false,
  Object.fromEntries((["git", "annex"] as const).flatMap((kind) => [
    [`an output that is a link to a directory stands for that directory (${kind})`, async () => {
      await using dataset = await makeLinks(kind);
      const base = await dataset.git("rev-parse", "HEAD");
      const write = ["sbatch", "write.sh", "out/new", "results/old"];
      const id = await dataset.schedule(["-o", "again", "-o", "out/", ...write]);
      assert.deepEqual((await dataset.record()).outputs, ["results", "again", "results", "out"]);
      for (const output of ["results", "out", "again", "out/x", "results/x"]) {
        const { code, stderr } = await dataset.tool(["schedule", "-o", output, ...write]);
        assert.match(stderr, new RegExp(`held by the open job ${id}`));
        assert.equal(code, 1);
      }
      await jobsAreOver([id]);
      await dataset.succeed(["finish"]);
      const written = { "results/new": "new out/new\n", "results/old": "new results/old\n" };
      await checkDataset(dataset, { base, finished: { [id]: { ...written, ...logs(id) } } });
    }],
    [`outputs that are links to files, or to nowhere, stand for themselves (${kind})`, async () => {
      await using dataset = await makeLinks(kind);
      const base = await script(
        dataset,
        "rm file dangling; echo new >file; ln -s results/old dangling",
      );
      const id = await runJob(dataset, "-o", "file", "-o", "dangling");
      await checkDataset(dataset, {
        base,
        finished: { [id]: { file: "new\n", dangling: { link: "results/old" }, ...logs(id) } },
      });
    }],
  ])),
);

concurrently(false, {
  "a link to a directory that a job changes is committed, and {outputs} shows the directory":
    async () => {
      await using dataset = await TestDataset.make();
      await dataset.write("run-1/a", "1\n");
      await dataset.write("run-2/a", "1\n");
      await Deno.symlink("run-1", `${dataset.root}/latest`);
      const base = await dataset.commit("Runs");
      const command = "echo {outputs} >latest/a; ln -sfn run-2 latest";
      const id = await dataset.schedule(["-o", "latest", `sbatch --wrap '${command}'`]);
      await jobsAreOver([id]);
      await dataset.succeed(["finish"]);
      const finished = { [id]: { "run-1/a": "run-1\n", latest: { link: "run-2" }, ...logs(id) } };
      await checkDataset(dataset, { base, finished });
    },
  "finish -o adds what is behind a link to a directory, and the link": async () => {
    await using dataset = await TestDataset.make();
    const base = await script(
      dataset,
      "mkdir results; echo a >a; echo new >results/new; ln -s results out",
    );
    const id = await dataset.schedule(["-o", "a", "sbatch", "job.sh"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish", "-o", "out", id]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: { a: "a\n", out: { link: "results" }, "results/new": "new\n", ...logs(id) },
      },
    });
  },
});
