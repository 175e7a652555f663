import assert from "node:assert/strict";
import { checkDataset, type Content, logs, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, dataladClone, noDatalad } from "../support/datalad.ts";
import { jobIdIn, letGo, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";
import { runInterposed } from "../stress/interpose.ts";

useCluster();

/** Makes a dataset with an annexed input and a script, and a clone without the content. */
async function makeClone(source: TestDataset): Promise<TestDataset> {
  await source.write("data/in.csv", "input\n");
  await source.write(
    "code/job.sh",
    "#!/bin/sh\nset -e\nmkdir -p out/a\ncat data/in.csv >out/a/b\n",
  );
  await source.git("annex", "add", "-q", "data");
  await source.commit("Data and code");
  return await dataladClone(source);
}

concurrently(noDatalad, {
  "inputs and script are copied, the job runs there, and its results come back": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    const clone = await makeClone(source);
    const base = await clone.git("rev-parse", "HEAD");
    const alt = `${source.scratch.directory}/parallel`;
    const id = await clone.schedule([
      ...["--alt-dir", alt, "-i", "data/in.csv", "-o", "out", "sbatch", "code/job.sh"],
    ]);
    assert.equal(await Deno.readTextFile(`${alt}/data/in.csv`), "input\n");
    assert.ok((await Deno.lstat(`${alt}/data/in.csv`)).isFile, "Content and not a link");
    await jobsAreOver([id]);
    assert.equal(await clone.git("status", "--porcelain"), "");
    await clone.succeed(["finish", "--verify"]);
    await checkDataset(clone, {
      base,
      finished: {
        [id]: {
          "out/a/b": "input\n",
          ...logs(id),
        },
      },
    });
    assert.equal(await Deno.readTextFile(`${alt}/out/a/b`), "input\n");
    await checkWithDatalad(clone, { "out/a/b": "input\n" });

    // Once more, elsewhere; the recorded directory is not taken.
    const other = `${source.scratch.directory}/other`;
    const again = jobIdIn(
      await clone.succeed(["reschedule", "--alt-dir", other]
        .concat("HEAD")),
    );
    await jobsAreOver([again]);
    assert.equal(await Deno.readTextFile(`${other}/out/a/b`), "input\n");
    await clone.succeed(["finish"]);
    assert.equal(await clone.git("status", "--porcelain"), "");
  },
  "a finish that is killed while it copies leaves nothing once the job is finished": async () => {
    await using dataset = await TestDataset.make();
    const alt = `${dataset.scratch.directory}/parallel`;
    const id = await dataset.schedule(
      ["--alt-dir", alt, "-o", "out", "sbatch", "write.sh", "out"],
    );
    await jobsAreOver([id]);
    const verify = ["finish", "--verify"];
    const killed = { program: "cmp", before: "kill -9 $TOOL" };
    assert.equal((await runInterposed(dataset, verify, killed)).code, 137);
    assert.match(await dataset.git("status", "--porcelain"), /copying/);
    await dataset.succeed(verify);
    assert.equal(await dataset.git("status", "--porcelain"), "");
  },
  "what a killed command has left of a copy is no output": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const alt = `${dataset.scratch.directory}/parallel`;
    const id = await dataset.schedule(
      ["--alt-dir", alt, "-o", "out", "sbatch", "write.sh", "out/a"],
    );
    await jobsAreOver([id]);
    await Deno.writeTextFile(`${alt}/out/.datalad-slurm-0123456789abcdef.copying`, "ha");
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out/a"]) } });
  },
  "a newer file of the user's is kept and reported": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const alt = `${dataset.scratch.directory}/parallel`;
    const id = await dataset.schedule([
      ...["--alt-dir", alt, "-o", "out", "sbatch", "write.sh", "out/kept", "out/copied"],
    ]);
    await jobsAreOver([id]);
    await dataset.write("out/kept", "the user's own\n");
    await Deno.utime(`${dataset.root}/out/kept`, new Date("2100-01-01"), new Date("2100-01-01"));
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 0);
    assert.match(stderr, /"out\/kept" was not committed: the file in the dataset is newer/);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out/kept": "the user's own\n",
          "out/copied": "result of out/copied\n",
          ...logs(id, "wrote out/kept\nwrote out/copied\n"),
        },
      },
    });
  },
  "through a link to a directory that is an output a job writes what is behind it": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("real/kept", "old\n");
    await Deno.symlink(`${dataset.root}/real`, `${dataset.root}/link`);
    const base = await dataset.commit("Directory and link to it");
    const alt = `${dataset.scratch.directory}/parallel`;
    const command = "mkdir -p link; echo new >link/new";
    const id = await dataset.schedule(
      ["--alt-dir", alt, "-o", "link", "sbatch", "--wrap", command],
    );
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    const files = {
      "real/new": "new\n",
      ...logs(id),
    };
    await checkDataset(dataset, { base, finished: { [id]: files } });
  },
  "what is not committed and in a result's way is kept, and the job left open": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("res/a", "old\n");
    const base = await dataset.commit("Directory");
    await dataset.write("res/a", "the user's own\n");
    await Deno.utime(`${dataset.root}/res/a`, new Date("2001-01-01"), new Date("2001-01-01"));
    const alt = `${dataset.scratch.directory}/parallel`;
    const id = await dataset.schedule(
      ["--alt-dir", alt, "-o", "res", "sbatch", "--wrap", "rm -rf res; echo f >res"],
    );
    await jobsAreOver([id]);
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 1);
    assert.match(stderr, /"res" of the dataset is in the way/);
    assert.equal(await Deno.readTextFile(`${dataset.root}/res/a`), "the user's own\n");
    await dataset.git("checkout", "-q", "--", "res/a");
    await Deno.utime(`${dataset.root}/res/a`, new Date("2001-01-01"), new Date("2001-01-01"));
    await dataset.succeed(["finish"]);
    const files = {
      res: "f\n",
      "res/a": null,
      ...logs(id),
    };
    await checkDataset(dataset, { base, finished: { [id]: files } });
  },
  "a directory that is not here leaves the job open until it is": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const alt = `${dataset.scratch.directory}/parallel`;
    const id = await dataset.schedule(["--alt-dir", alt, "-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await Deno.rename(alt, `${alt}.away`);
    // As a link to what is not mounted.
    await Deno.symlink(`${alt}.nowhere`, alt);
    const { code, stdout, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`^Job ${id}: Complete, left open`));
    assert.match(stderr, /parallel" could not be added: the job ran in this directory/);
    await Deno.remove(alt);
    await Deno.rename(`${alt}.away`, alt);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "a result or an input of the same size and time is copied where its content differs":
    async () => {
      await using dataset = await TestDataset.make();
      const alt = `${dataset.scratch.directory}/parallel`;
      const old = new Date(1_000_000_000_000);
      await dataset.write("old.sh", "#!/bin/sh\ncat in >out\ntouch -d @1000000000 out\n");
      const base = await dataset.commit("Script");
      const finished: Record<string, Record<string, Content>> = {};
      for (const content of ["run1\n", "run2\n"]) {
        await dataset.write("in", content);
        await Deno.utime(`${dataset.root}/in`, old, old);
        const id = await dataset.schedule([
          ...["--alt-dir", alt, "-i", "in", "-o", "out", "sbatch", "old.sh"],
        ]);
        await jobsAreOver([id]);
        await dataset.succeed(["finish"]);
        finished[id] = {
          out: content,
          ...logs(id),
        };
      }
      await checkDataset(dataset, { base, finished, status: ["?? in"] });
    },
  "what another open job writes into the same directory stays there": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("b.csv", "an older result\n");
    const base = await dataset.commit("Older");
    const alt = ["--alt-dir", `${dataset.scratch.directory}/parallel`];
    const pipe = await dataset.pipe("go");
    const over = await dataset.schedule([...alt, "-o", "a.csv", "sbatch", "write.sh", "a.csv"]);
    const open = await dataset.schedule([
      ...alt,
      "-o",
      "b.csv",
      "sbatch",
      "wait.sh",
      pipe,
      "b.csv",
    ]);
    await jobsAreOver([over]);
    await Deno.writeTextFile(`${alt[1]}/b.csv`, "half\n");
    await dataset.succeed(["finish", "-o", "*.csv", over]);
    assert.equal(await Deno.readTextFile(`${dataset.root}/b.csv`), "an older result\n");
    await checkDataset(dataset, {
      base,
      open: [open],
      finished: { [over]: written(over, ["a.csv"]) },
    });
    await letGo(pipe);
  },
  "a file comes in the place of a directory, a directory in that of a file, whatever its name":
    async () => {
      const longest = `${"x".repeat(251)}.txt`;
      for (const kind of ["git", "annex"] as const) {
        await using dataset = await TestDataset.make({ kind });
        await dataset.write("out/file/old", "old\n");
        await dataset.write("out/directory", "old\n");
        await Deno.symlink("file", `${dataset.root}/out/link`);
        const base = await dataset.commit("Old");
        const alt = `${dataset.scratch.directory}/parallel`;
        const made = ["out/file", "out/directory/new", "out/link/new", `out/${longest}`];
        const id = await dataset.schedule(
          ["--alt-dir", alt, "-o", "out", "sbatch", "write.sh", ...made],
        );
        await jobsAreOver([id]);
        await dataset.succeed(["finish"]);
        await checkDataset(dataset, {
          base,
          finished: {
            [id]: {
              ...written(id, made),
              "out/file/old": null,
              "out/directory": null,
              "out/link": null,
            },
          },
          // What the annex had of the files that are gone.
          skipAnnex: true,
        });
      }
    },
  "what git does not know is not removed for a result, and other jobs are finished": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const alt = ["--alt-dir", `${dataset.scratch.directory}/parallel`];
    const open = await dataset.schedule([...alt, "-o", "out", "sbatch", "write.sh", "out/a"]);
    const over = await dataset.schedule([...alt, "-o", "b", "sbatch", "write.sh", "b"]);
    await jobsAreOver([open, over]);
    await dataset.write("out/a/mine", "mine\n");
    await Deno.utime(`${dataset.root}/out/a/mine`, 0, 0);
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 1);
    assert.match(stderr, /"out\/a" could not be added: "out\/a" of the dataset is in the way/);
    await checkDataset(dataset, {
      base,
      open: [open],
      finished: { [over]: written(over, ["b"]) },
      status: ["?? out/", `?? slurm-job-${open}.env.json`],
    });
    await Deno.rename(`${dataset.root}/out/a`, `${dataset.root}/mine`);
    await dataset.succeed(["finish"]);
    assert.equal(await dataset.git("show", "HEAD:out/a"), "result of out/a");
  },
  "a link to a directory is an input with all that it leads to": async () => {
    await using dataset = await TestDataset.make();
    const alt = `${dataset.scratch.directory}/parallel`;
    await dataset.write("data/v1/in", "input\n");
    await Deno.symlink("..", `${dataset.root}/data/v1/up`);
    await Deno.symlink("v1", `${dataset.root}/data/now`);
    await Deno.symlink(`${dataset.root}/data/now`, `${dataset.root}/latest`);
    await Deno.symlink(dataset.scratch.directory, `${dataset.root}/outside`);
    await dataset.write("read.sh", "#!/bin/sh\ncat data/now/in latest/in >out\n");
    const base = await dataset.commit("Data");
    const inputs = ["data/now", "latest", "outside"].flatMap((input) => ["-i", input]);
    const id = await dataset.schedule(
      ["--alt-dir", alt, ...inputs, "-o", "out", "sbatch", "read.sh"],
    );
    assert.equal(await Deno.readLink(`${alt}/data/now`), "v1");
    assert.equal(await Deno.readLink(`${alt}/latest`), "data/v1");
    assert.equal(await Deno.readLink(`${alt}/outside`), dataset.scratch.directory);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          out: "input\ninput\n",
          ...logs(id),
        },
      },
    });
  },
  "an input that something is in the way of is refused before the submission": async () => {
    await using dataset = await TestDataset.make();
    const alt = `${dataset.scratch.directory}/parallel`;
    await dataset.write("in", "input\n");
    const base = await dataset.commit("Data");
    await Deno.mkdir(`${alt}/in/other`, { recursive: true });
    const { code, stderr } = await dataset.tool(
      ["schedule", "--alt-dir", alt, "-i", "in", "-o", "out", "sbatch", "write.sh", "out"],
    );
    assert.equal(code, 1);
    assert.match(stderr, /"in" cannot be copied/);
    await checkDataset(dataset, { base });
  },
  "a directory that holds the dataset, or lies in it, is refused": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    for (const path of [".", "below", "..", "/"]) {
      const { code, stderr } = await dataset.tool([
        ...["schedule", "--alt-dir", path, "-o", "out", "sbatch", "write.sh", "out"],
      ]);
      assert.equal(code, 1, path);
      assert.match(stderr, /lie inside one another/);
    }
    await checkDataset(dataset, { base });
  },
  "the record of a foreign clone has nothing copied": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    const clone = await makeClone(source);
    const alt = `${source.scratch.directory}/parallel`;
    const id = await clone.schedule([
      ...["--alt-dir", alt, "-i", "data/in.csv", "-o", "out", "sbatch", "code/job.sh"],
    ]);
    await jobsAreOver([id]);
    await source.run(["git", "pull", "-q", clone.root, "HEAD"]);
    const base = await source.git("rev-parse", "HEAD");
    const { stdout } = await source.tool(["finish"]);
    assert.match(stdout, /another clone/);
    await source.tool(["finish", "--other-clones"]);
    assert.deepEqual([...Deno.readDirSync(source.root)].filter(({ name }) => name === "out"), []);
    assert.equal(await source.git("diff", "--name-only", base, "HEAD", "--", "out"), "");
  },
});
