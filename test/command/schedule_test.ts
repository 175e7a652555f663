import assert from "node:assert/strict";
import { checkDataset, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { DATASET_ID, TestDataset } from "../support/dataset.ts";
import {
  jobsAreOver,
  jobsSubmittedBelow,
  recordedCluster,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

/** Returns the record in a commit message. */
async function recordOf(dataset: TestDataset, commit = "HEAD") {
  const message = await dataset.git("log", "-1", "--format=%B", commit);
  const json = /^=== Do not change lines below ===\n([^]*)\n\^\^\^/m.exec(message)?.[1];
  return JSON.parse(json ?? "");
}

concurrently(false, {
  "schedule commits a record with its parent's tree and leaves index and work tree alone":
    async () => {
      await using dataset = await TestDataset.make({ kind: "text2git" });
      await dataset.write("staged.txt", "staged\n");
      await dataset.write("write.sh", await Deno.readTextFile(`${dataset.root}/write.sh`) + "\n");
      await dataset.git("add", "staged.txt");
      await dataset.write("staged.txt", "staged and changed again\n");
      await dataset.write("untracked.txt", "new\n");
      const base = await dataset.git("rev-parse", "HEAD");
      // Before the index is read, because it refreshes the index.
      const before = await dataset.git("status", "--porcelain");
      const index = await Deno.readFile(`${dataset.root}/.git/index`);
      const id = await dataset.schedule([
        "-o",
        "out/a",
        "-m",
        "Two\nlines",
        "sbatch",
        "-H",
        "write.sh",
        "out/a",
      ]);
      assert.deepEqual(await Deno.readFile(`${dataset.root}/.git/index`), index);
      assert.equal(await dataset.git("status", "--porcelain"), before);
      assert.equal(
        await Deno.readTextFile(`${dataset.root}/staged.txt`),
        "staged and changed again\n",
      );
      const message = await dataset.git("log", "-1", "--format=%B");
      assert.equal(
        message.split("=== Do not")[0],
        `[DATALAD SCHEDULE] Submitted batch job ${id}: Pending\n\nTwo\nlines\n\n`,
      );
      const { datalad_slurm, ...record } = await recordOf(dataset);
      assert.deepEqual(record, {
        chain: [],
        cmd: "sbatch -H write.sh out/a",
        dsid: DATASET_ID,
        extra_inputs: [],
        inputs: [],
        outputs: ["out/a"],
        pwd: ".",
        slurm_job_id: id,
      });
      assert.equal(datalad_slurm.version, 1);
      assert.equal(datalad_slurm.job.name, "write.sh");
      assert.equal(
        await dataset.git("log", "-1", "--format=%an <%ae>"),
        "Ada Lovelace <ada@example.org>",
      );
      await checkDataset(dataset, {
        base,
        open: [id],
        status: ["AM staged.txt", " M write.sh", "?? untracked.txt"],
      });
    },
  "a finished job leaves one commit with its output, its log and what Slurm knew": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    assert.match(
      await dataset.succeed(["finish"]),
      new RegExp(`^Job ${id}: Complete, committed as `),
    );
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
  },

  "outputs and inputs count from the directory that the command runs in": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("sub/dir/in.txt", "in\n");
    const base = await dataset.commit("Input");
    const id = await dataset.schedule([
      "-i",
      "in.txt",
      "-o",
      "../a",
      "--output=b",
      "-o",
      "./c/../d",
      "--",
      "sbatch",
      "../../write.sh",
      "../a",
      "b",
      "d",
    ], { in: "sub/dir" });
    const record = await recordOf(dataset);
    assert.equal(record.pwd, "sub/dir");
    assert.deepEqual(record.inputs, ["sub/dir/in.txt"]);
    assert.deepEqual(record.outputs, ["sub/a", "sub/dir/b", "sub/dir/d"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"], { in: "sub" });
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "sub/a": "result of ../a\n",
          "sub/dir/b": "result of b\n",
          "sub/dir/d": "result of d\n",
          [`sub/dir/slurm-${id}.out`]: "wrote ../a\nwrote b\nwrote d\n",
          [`sub/dir/slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "-d names a dataset from outside, and the command runs in its root": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const outside = { cwd: dataset.scratch.directory };
    const id = await dataset.schedule(
      ["-d", "ds", "-o", "out", "sbatch", "write.sh", "out"],
      outside,
    );
    await jobsAreOver([id]);
    await dataset.succeed(["finish", "-d", dataset.root], outside);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "-d names a dataset by a link to a directory below its root, and it is the same one":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      await Deno.mkdir(`${dataset.root}/sub`);
      const link = `${dataset.scratch.directory}/links/sub`;
      await Deno.mkdir(`${dataset.scratch.directory}/links`);
      await Deno.symlink(`${dataset.root}/sub`, link);
      const args = ["-o", "out", "sbatch", "-H", "write.sh", "out"];
      const id = await dataset.schedule(args);
      const { code, stderr } = await dataset.tool(["schedule", "-d", link, ...args], { cwd: "/" });
      assert.match(stderr, new RegExp(`"out" is held by the open job ${id}`));
      assert.equal(code, 1);
      await checkDataset(dataset, { base, open: [id] });
      const above = [...Deno.readDirSync(`${dataset.scratch.directory}/links`)];
      assert.deepEqual(above.map(({ name }) => name), ["sub"]);
    },
  "one quoted word is a command line for the shell, and placeholders are filled in": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("in a", "x\n");
    await dataset.write("in b", "y\n");
    const base = await dataset.commit("Inputs");
    const command =
      "true && sbatch --wrap \"cat {inputs} {inputs[1]} >{outputs[0]}; echo {{}} {dspath} | sed 's:.*/::'\" | cat";
    const id = await dataset.schedule(["-i", "in a", "-i", "in b", "-o", "out", command]);
    assert.equal((await recordOf(dataset)).cmd, command);
    await jobsAreOver([id]);
    await dataset.succeed(["finish", id]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          out: "x\ny\ny\n",
          [`slurm-${id}.out`]: "ds\n",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "sbatch -Q prints nothing, and its job is found and recorded": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "-Q", "write.sh", "out"]);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
  },
  "sbatch --parsable and a banner on stdout are understood": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      "-o",
      "out",
      "echo Welcome to 12 nodes; sbatch -H --parsable write.sh out",
    ]);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id]);
    await checkDataset(dataset, { base, open: [id] });
  },
  "--json prints one line that says which job and commit": async () => {
    await using dataset = await TestDataset.make();
    const stdout = await dataset.succeed([
      "schedule",
      "--json",
      "-o",
      "out",
      "sbatch",
      "-H",
      "write.sh",
      "out",
    ]);
    const [id = ""] = await jobsSubmittedBelow(dataset.root);
    assert.deepEqual(JSON.parse(stdout), {
      action: "schedule",
      status: "ok",
      path: dataset.root,
      refds: dataset.root,
      type: "dataset",
      slurm_job_id: id,
      ...recordedCluster(),
      commit: await dataset.git("rev-parse", "HEAD"),
    });
  },
  "--dry-run shows the command and submits nothing": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const stdout = await dataset.succeed([
      "schedule",
      "--dry-run",
      "-o",
      "o ut",
      "sbatch write.sh {outputs}",
    ]);
    assert.match(stdout, /sbatch write\.sh 'o ut'/);
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), []);
    await checkDataset(dataset, { base });
  },
  "a job that fails at submission time is recorded with its own exit code ignored (--wait)":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await dataset.schedule(["-o", "out", "sbatch", "--wait", "fail.sh", "out"]);
      await checkDataset(dataset, { base, open: [id], status: ["?? out", `?? slurm-${id}.out`] });
    },
  "a schedule on a detached HEAD is recorded there": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.git("checkout", "-q", "--detach");
    const id = await dataset.schedule(["-o", "out", "sbatch", "write.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    assert.equal(await dataset.git("rev-parse", "main"), base);
  },
});
