import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, letGo, TestDataset } from "../support/dataset.ts";
import {
  jobIs,
  jobsAreOver,
  noRealSlurm,
  slurm,
  until,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

/** Returns what the last commit says of its job in the part that is the tool's own. */
async function toolPart(dataset: TestDataset) {
  return (await dataset.record()).datalad_slurm;
}

/** Waits until the clock shows another second: Slurm has times to the second. */
async function nextSecond(): Promise<void> {
  const next = Math.floor(Date.now() / 1000 + 1) * 1000;
  await until("the second is over", () => Date.now() >= next);
}

/** Returns what `git status` shows of files that the tool reads and must leave alone. */
async function statusOf(dataset: TestDataset): Promise<string> {
  return await dataset.git("status", "--porcelain");
}

concurrently(false, {
  "script and inputs are pinned, and the record says where they differ from the commit":
    async () => {
      await using dataset = await TestDataset.make();
      await dataset.write("in/same", "same\n");
      await dataset.write("in/changed", "before\n");
      await dataset.write("in/gone", "gone\n");
      await dataset.write("staged", "before\n");
      await dataset.write('"quoted', "quoted\n");
      await dataset.commit("Inputs");
      await dataset.write("in/changed", "after\n");
      await dataset.write("in/new", "new\n");
      await Deno.remove(`${dataset.root}/in/gone`);
      await dataset.write("staged", "after\n");
      await dataset.git("add", "staged");
      await dataset.write("write.sh", "#!/bin/sh\ntrue\n");
      await dataset.run(["sh", "-c", "ln -s in/same link; truncate -s 2M large"]);
      const args = [
        "-i",
        "in",
        "-i",
        "staged",
        "-i",
        "li*",
        "-i",
        "large",
        "-i",
        '"quoted',
        "-o",
        "out",
      ];
      const before = await statusOf(dataset);
      const differs = {
        "in/changed": "modified",
        "in/gone": "deleted",
        "in/new": "new",
        "large": "new",
        "link": "new",
        "staged": "modified",
      };
      const planned = JSON.parse(
        await dataset.succeed(["schedule", "--json", "--dry-run", ...args, "sbatch", "write.sh"]),
      );
      assert.deepEqual(planned.differs, { ...differs, "write.sh": "modified" });
      const shown = await dataset.succeed(["schedule", "--dry-run", ...args, "sbatch write.sh"]);
      assert.match(shown, /^ {2}in\/new \(new\)$/m);
      await dataset.schedule([...args, "sbatch", "-H", "write.sh", "x"]);
      const part = await toolPart(dataset);
      const hash = (path: string) => dataset.git("hash-object", path);
      assert.deepEqual(part.script, {
        path: "write.sh",
        object: await hash("write.sh"),
        differs: "modified",
      });
      assert.deepEqual(part.differs, differs);
      const { large, ...inputs } = part.inputs;
      assert.match(large, /^s2097152-m\d+$/);
      assert.deepEqual(inputs, {
        "in": await dataset.git("rev-parse", "HEAD:in"),
        "in/changed": await hash("in/changed"),
        "in/new": await hash("in/new"),
        "link": "-> in/same",
        "staged": await hash("staged"),
        '"quoted': await hash('"quoted'),
      });
      assert.equal(await statusOf(dataset), before);
    },
  "inputs that cannot be read are told, and come in the way of no other's pins": async () => {
    await using dataset = await TestDataset.make();
    for (const name of ["a", "closed", "in/closed", "m", "x", "z"]) {
      await dataset.write(name, "before\n");
    }
    // Old enough for git to take it for what it was by its time alone.
    await Deno.utime(`${dataset.root}/x`, 1, 1);
    await dataset.commit("Inputs");
    for (const name of ["a", "closed", "z"]) await dataset.write(name, "otherwise\n");
    for (const name of ["in/new", "new", "open"]) await dataset.write(name, "new\n");
    for (const name of ["closed", "in/new", "new", "x"]) {
      await Deno.chmod(`${dataset.root}/${name}`, 0);
    }
    await dataset.git("update-index", "-q", "--refresh").catch(() => {});
    const inputs = ["a", "closed", "in", "m", "new", "open", "x", "z"];
    const { code, stderr } = await dataset.bound([
      "schedule",
      ...inputs.flatMap((path) => ["-i", path]),
      ...["-o", "out", "sbatch", "-H", "write.sh", "out"],
    ]);
    assert.equal(code, 0, stderr);
    const said = stderr.split("\n").find((line) => line.includes("Cannot be read"));
    assert.match(said ?? "", /^Warning: Cannot be read, so that the record does not say what/);
    assert.match(said ?? "", /: "closed", "new", "in\/new"$/);
    const part = await toolPart(dataset);
    const hash = (path: string) => dataset.git("hash-object", path);
    assert.deepEqual(part.inputs, {
      a: await hash("a"),
      in: await dataset.git("rev-parse", "HEAD:in"),
      m: await hash("m"),
      open: await hash("open"),
      x: await hash("x"),
      z: await hash("z"),
    });
    const modified = { a: "modified", closed: "modified", z: "modified" };
    const added = { "in/new": "new", new: "new", open: "new" };
    assert.deepEqual(part.differs, { ...modified, ...added });
  },
  "annexed inputs are pinned by their keys, whether they are locked or not": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    for (const name of ["locked", "unlocked", "modified"]) await dataset.write(name, `${name}\n`);
    await dataset.git("annex", "add", "--quiet");
    await dataset.commit("Inputs");
    const key = async (name: string) => await dataset.git("annex", "lookupkey", name);
    const [locked, unlocked] = [await key("locked"), await key("unlocked")];
    await dataset.git("annex", "unlock", "--quiet", "unlocked", "modified");
    await dataset.commit("Unlocked");
    await dataset.write("modified", "otherwise\n");
    const inputs = ["-i", "locked", "-i", "unlocked", "-i", "modified"];
    await dataset.schedule([...inputs, "-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const part = await toolPart(dataset);
    assert.deepEqual(part.inputs, {
      locked,
      unlocked,
      modified: await dataset.git("hash-object", "--no-filters", "modified"),
    });
    assert.deepEqual(part.differs, { modified: "modified" });
    assert.equal(part.script.differs, undefined);
  },
  "the script that Slurm got is pinned where the command writes it, or it lies outside":
    async () => {
      await using dataset = await TestDataset.make();
      const script = "#!/bin/sh\ntrue\n";
      const command = `printf '${script.replaceAll("\n", "\\n")}' >made.sh; sbatch -H made.sh a b`;
      await dataset.schedule(["-o", "a", command]);
      const object = await dataset.git("hash-object", "made.sh");
      assert.deepEqual((await toolPart(dataset)).script, {
        path: "made.sh",
        object,
        differs: "new",
      });
      const home = dataset.env["HOME"] ?? "";
      await Deno.writeTextFile(`${home}/own.sh`, script);
      await dataset.schedule(["-o", "b", "sbatch", "-H", `${home}/own.sh`]);
      assert.deepEqual((await toolPart(dataset)).script, {
        path: "~/own.sh",
        object,
        differs: "outside",
      });
      await dataset.schedule(["-o", "c", "sbatch", "-H", "--wrap", "true"]);
      assert.equal((await toolPart(dataset)).script, undefined);
    },
  "the script of a plain call of sbatch is pinned where slurmctld does not answer": async () => {
    await using dataset = await TestDataset.make();
    const says = "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1";
    const env = { PATH: await dataset.pathWith({ scontrol: says }) };
    await dataset.write("sub/own.sh", "#!/bin/sh\n# not committed\n");
    const argv = ["schedule", "-o", "out", "sbatch", "-H", "-J", "x", "own.sh"];
    await dataset.succeed(argv, { env, in: "sub" });
    const { script, job } = await toolPart(dataset);
    assert.equal(job, undefined);
    const object = await dataset.git("hash-object", "sub/own.sh");
    assert.deepEqual(script, { path: "sub/own.sh", object, differs: "new" });
    await dataset.succeed(["schedule", "-o", "other", "sbatch", "-H", "--wrap", "true"], { env });
    assert.equal((await toolPart(dataset)).script, undefined);
  },
  "what is pinned outlives the command that is killed": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("in", "before\n");
    const command = "sbatch -H write.sh out; " +
      "until [ -e .git/datalad-slurm/journal/*/pins ]; do sleep 0.05; done; " +
      "echo after >in; sh kill_tool.sh";
    assert.equal((await dataset.tool(["schedule", "-i", "in", "-o", "out", command])).code, 137);
    await dataset.succeed(["status"]);
    const { script, inputs, differs } = await toolPart(dataset);
    assert.equal(script.object, await dataset.git("rev-parse", "HEAD:write.sh"));
    await dataset.write("in", "before\n");
    assert.deepEqual(inputs, { in: await dataset.git("hash-object", "in") });
    assert.deepEqual(differs, { in: "new" });
  },
  "inputs in subdatasets are compared with the commit of theirs": async () => {
    await using dataset = await TestDataset.make();
    await dataset.run(["git", "init", "-q", "sub"]);
    const sub = dataset.at(`${dataset.root}/sub`);
    await sub.write("a", "a\n");
    await sub.write("b", "b\n");
    await sub.commit("Content");
    await dataset.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "./sub");
    await dataset.commit("Subdataset");
    await sub.write("b", "other\n");
    const inputs = ["-i", "sub/a", "-i", "sub/b"];
    await dataset.schedule([...inputs, "-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const part = await toolPart(dataset);
    assert.deepEqual(part.differs, { "sub/b": "modified" });
    assert.equal(part.inputs["sub/a"], await sub.git("rev-parse", "HEAD:a"));
  },
  "finish says what was changed while the job was waiting, and records it": async () => {
    await using dataset = await TestDataset.make();
    for (const name of ["changed", "gone", "same", "dir/changed", "dir/same"]) {
      await dataset.write(name, `${name}\n`);
    }
    await dataset.commit("Inputs");
    const inputs = ["changed", "gone", "same", "dir"].flatMap((name) => ["-i", name]);
    const id = await dataset.schedule([
      ...inputs,
      "-o",
      "dir/out",
      ...["sbatch", "-H", "write.sh", "dir/out"],
    ]);
    // Files have the time to the second in Slurm's eyes.
    await dataset.run(["touch", "-d", "1 minute ago", "same", "dir/same"]);
    await dataset.write("changed", "otherwise\n");
    await dataset.write("dir/changed", "otherwise\n");
    await dataset.write("dir/added", "added\n");
    await Deno.remove(`${dataset.root}/gone`);
    await dataset.write("write.sh", `${await dataset.git("show", "HEAD:write.sh")}\n# more\n`);
    await nextSecond();
    await slurm("scontrol", "release", id);
    await jobsAreOver([id]);
    // Of no matter to a job that is over.
    await dataset.write("same", "later\n");
    await dataset.run(["touch", "-d", "1 minute", "same"]);
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.equal(code, 0);
    const warnings = stderr.split("\n").filter((line) => line.startsWith("Warning: ")).toSorted();
    const texts = warnings.map((line) => line.replace(`Job ${id}: `, "").replace(/, at .*/, ""));
    assert.deepEqual(texts, [
      'Warning: the input "changed" was changed while the job was waiting',
      'Warning: the input "dir/changed" was changed while the job was waiting',
      'Warning: the input "gone" is gone since the submission',
      'Warning: the script "write.sh" has changed since the submission; ' +
      "the job ran it as it was then",
    ]);
    assert.deepEqual((await toolPart(dataset)).changed.toSorted(), [
      "changed",
      "dir/changed",
      "gone",
      "write.sh",
    ]);
  },
  "a file that keeps an old time is told as changed when it was put there": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    for (const name of ["annexed", "changed", "late"]) await dataset.write(name, `${name}\n`);
    await dataset.git("annex", "add", "--quiet", "annexed");
    await dataset.git("-c", "annex.largefiles=nothing", "annex", "add", "--quiet");
    await dataset.commit("Inputs");
    const old = `${dataset.scratch.directory}/old`;
    await dataset.run(["sh", "-c", `echo old >${old}; touch -d 2001-02-03 ${old}`]);
    const inputs = ["annexed", "changed", "late"].flatMap((name) => ["-i", name]);
    const id = await dataset.schedule([...inputs, "-o", "out", "sbatch", "-H", "write.sh", "out"]);
    await dataset.run(["cp", "-p", old, "changed"]);
    await dataset.run(["sh", "-c", `rm annexed; cp -p ${old} annexed`]);
    await dataset.git("annex", "add", "--quiet", "annexed");
    await nextSecond();
    await slurm("scontrol", "release", id);
    await jobsAreOver([id]);
    await nextSecond();
    await dataset.run(["cp", "-p", old, "late"]);
    const told = await dataset.tool(["show", id]);
    assert.match(told.stdout, /the input "changed" was changed while the job was waiting, at 20/);
    assert.match(told.stdout, /the input "annexed" has changed since the submission$/m);
    assert.match(told.stdout, /the input "late" was changed after the job was over/);
    assert.doesNotMatch(told.stdout, /2001-02/);
    const { notes } = JSON.parse(await dataset.succeed(["finish", "--json"]));
    const [annexed, changed, ...others] = notes.changed;
    assert.deepEqual(annexed, { path: "annexed", role: "input" });
    const { submitted_at } = await toolPart(dataset);
    assert.ok(changed.path === "changed" && changed.changed_at >= submitted_at.slice(0, 19));
    assert.deepEqual(others, []);
  },
  "what was only committed, unlocked or annexed meanwhile has not changed": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("locked", "locked\n");
    await dataset.write("unlocked", "unlocked\n");
    await dataset.git("annex", "add", "--quiet");
    await dataset.commit("Inputs");
    await dataset.git("annex", "unlock", "--quiet", "unlocked");
    await dataset.commit("Unlocked");
    await dataset.write("new", "new\n");
    await dataset.run(["sh", "-c", "head -c 2M /dev/zero >large; touch -d '1 hour ago' large"]);
    const pipe = await dataset.pipe("pipe");
    const id = await dataset.schedule([
      ...["locked", "unlocked", "new", "large"].flatMap((name) => ["-i", name]),
      ...["-o", "out", "sbatch", "wait.sh", pipe, "out"],
    ]);
    await jobIs(id, "RUNNING");
    await dataset.git("annex", "unlock", "--quiet", "locked");
    await dataset.git("annex", "lock", "--quiet", "unlocked");
    await dataset.git("annex", "add", "--quiet", "new", "large");
    await dataset.commit("Otherwise");
    await letGo(pipe);
    await jobsAreOver([id]);
    const { code, stderr } = await dataset.tool(["finish"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal((await toolPart(dataset)).changed, undefined);
  },
});

concurrently(noRealSlurm, {
  "schedule warns of what only this clone has, and a clone that lacks it says so": async () => {
    await using dataset = await TestDataset.make();
    const args = ["schedule", "-o", "out", "sbatch", "mine.sh"];
    await dataset.write("mine.sh", "#!/bin/sh\necho mine >out\n");
    const { code, stderr, stdout } = await dataset.tool(args);
    assert.equal(code, 0, stderr);
    const warning = "Warning: Not as it is committed, so that no clone can run the job again: ";
    assert.equal(stderr, `${warning}"mine.sh" (not committed)\n`);
    const id = jobIdIn(stdout);
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await dataset.git("clone", "-q", ".", `${dataset.root}.clone`);
    const clone = dataset.at(`${dataset.root}.clone`);
    const again = await clone.tool(["reschedule", id]);
    assert.equal(again.code, 1);
    assert.match(
      again.stderr,
      new RegExp(
        `There is no batch script "mine.sh"\nHint: Job ${id} ran it where it was submitted`,
      ),
    );
    await dataset.commit("Script");
    assert.doesNotMatch((await dataset.tool(["reschedule", id])).stderr, /Warning/);
  },
});
