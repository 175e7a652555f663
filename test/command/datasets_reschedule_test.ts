import assert from "node:assert/strict";
import { checkDataset, environmentOf, logs, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { checkWithDatalad, dataladClone, noDatalad } from "../support/datalad.ts";
import { DATASET_ID, jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, jobsSubmittedBelow, noRealSlurm, useCluster } from "../support/real_slurm.ts";

useCluster();

const RECORDS = new URL("../../fixtures/records/", import.meta.url);

/** Runs a job to its finish commit, and returns its id. */
async function runJob(dataset: TestDataset, ...args: string[]): Promise<string> {
  const id = await dataset.schedule(args);
  await jobsAreOver([id]);
  await dataset.succeed(["finish", "--commit-failed-jobs"]);
  return id;
}

/** Makes an empty commit with a message. */
async function commitMessage(dataset: TestDataset, message: string): Promise<string> {
  const path = `${dataset.scratch.directory}/message-${crypto.randomUUID()}`;
  await Deno.writeTextFile(path, message);
  await dataset.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", path);
  return await dataset.git("rev-parse", "HEAD");
}

/** Returns a finish commit's message with this record. */
function finished(record: Record<string, unknown>, id = "77"): string {
  const whole = {
    ...{ chain: [], cmd: "sbatch write.sh a", dsid: DATASET_ID, extra_inputs: [], inputs: [] },
    ...{ outputs: ["a"], pwd: ".", slurm_job_id: id },
    ...record,
  };
  return `[DATALAD FINISH] Processed batch job ${id}: Complete\n\n` +
    `=== Do not change lines below ===\n${JSON.stringify(whole, null, 1)}\n` +
    "^^^ Do not change lines above ^^^\n";
}

/** The ids of the jobs in what `reschedule --report` shows, in its order. */
function reported(stdout: string): string[] {
  return [...stdout.matchAll(/^Job (\d+) \(/gm)].map(([, id]) => id ?? "");
}

concurrently(noDatalad, {
  "--onto and --branch check out first, and refuse to overwrite changes": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const start = await dataset.git("rev-parse", "HEAD");
    await runJob(dataset, "-o", "out", "sbatch", "write.sh", "out");
    const tip = await dataset.git("rev-parse", "HEAD");
    const again = jobIdIn(
      await dataset.succeed(["reschedule", "--onto", start, "--branch", "again", "HEAD"]),
    );
    assert.equal(await dataset.git("symbolic-ref", "HEAD"), "refs/heads/again");
    assert.equal(await dataset.git("rev-parse", "main"), tip);
    await jobsAreOver([again]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base: start,
      finished: { [again]: written(again, ["out"]) },
    });
    await dataset.git("checkout", "-q", "main");
    await dataset.git("annex", "unlock", "-q", "out");
    await dataset.write("out", "changed by the user\n");
    const refused = await dataset.tool(["reschedule", "--onto", start, "HEAD"]);
    assert.notEqual(refused.code, 0);
    assert.equal(await Deno.readTextFile(`${dataset.root}/out`), "changed by the user\n");
    assert.equal(await dataset.git("symbolic-ref", "HEAD"), "refs/heads/main");
  },
  "records of all forms are rescheduled": async () => {
    for (const { name } of [...Deno.readDirSync(RECORDS)].filter((f) => f.name.endsWith(".txt"))) {
      if (name.startsWith("schedule")) continue;
      await using dataset = await TestDataset.make({ kind: "annex" });
      const job = "#!/bin/sh\nmkdir -p arr\necho ${SLURM_ARRAY_TASK_ID-0} >arr/result\necho x >y\n";
      const is2025 = name === "finish-2025-01.txt";
      for (const path of ["jobs/18/slurm.sh", "jobs/20/slurm.sh", "arr.sh"]) {
        await dataset.write(path, job);
      }
      const start = await dataset.commit("Jobs");
      const text = (file: string) =>
        Deno.readTextFileSync(new URL(file, RECORDS)).replaceAll("/data/ds", dataset.root);
      if (is2025) await commitMessage(dataset, text("schedule-2025-01.txt"));
      const commit = await commitMessage(dataset, text(name));
      assert.match(await dataset.succeed(["reschedule", "--report", commit]), /^Job \d+ /);
      const again = jobIdIn(await dataset.succeed(["reschedule", commit]));
      await jobsAreOver([again]);
      await dataset.succeed(["finish"]);
      assert.equal(await dataset.git("status", "--porcelain", "--", "jobs", "arr"), "", name);
      assert.match(
        await dataset.git("log", "-2", "--format=%s"),
        new RegExp(`job ${again}: Complete\n\\[DATALAD RESCHEDULE\\] .* ${again}: Pending`),
      );
      const result = is2025
        ? "jobs/20/y"
        : name.includes("array") || name.includes("resch")
        ? "arr/result"
        : "jobs/18/y";
      assert.ok((await dataset.git("ls-files", result)) !== "", `${name}: ${result}`);
      const since = await dataset.tool(["reschedule", "--report", "--since", start]);
      assert.equal(since.code, 0, since.stderr);
    }
  },
  "extra_inputs of older records are fetched": async () => {
    await using source = await TestDataset.make({ kind: "annex" });
    await source.write("extra", "extra content\n");
    await source.git("annex", "add", "-q", "extra");
    await source.commit("Extra");
    const cmd = "sbatch --wrap 'cat extra >a'";
    const commit = await commitMessage(source, finished({ cmd, extra_inputs: ["extra"] }));
    const clone = await dataladClone(source);
    const id = jobIdIn(await clone.succeed(["reschedule", commit]));
    await jobsAreOver([id]);
    await clone.succeed(["finish"]);
    await checkDataset(clone, {
      base: commit,
      finished: {
        [id]: {
          a: "extra content\n",
          ...logs(id),
        },
      },
    });
  },
  "an open job of the extension is shown and finished": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write("jobs/20/slurm.sh", "#!/bin/sh\n#SBATCH -o log.slurm-%j.out\necho x >y\n");
    const base = await dataset.commit("Job");
    const { stdout } = await dataset.run(["sbatch", "--parsable", "slurm.sh"], { in: "jobs/20" });
    const id = stdout.trim();
    await commitMessage(
      dataset,
      Deno.readTextFileSync(new URL("schedule-2025-01.txt", RECORDS))
        .replaceAll("/data/ds", dataset.root).replace(/\b45\b/g, id),
    );
    assert.match((await dataset.tool(["status"])).stdout, new RegExp(id));
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "jobs/20/y": "x\n",
          [`jobs/20/log.slurm-${id}.out`]: "",
          [`jobs/20/slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
    await checkWithDatalad(dataset, { "jobs/20/y": "x\n" });
  },
  "a recorded output that is a link to a directory stands for that directory": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("results/old", "old\n");
    await Deno.symlink("results", `${dataset.root}/out`);
    await dataset.commit("Link");
    const record = { cmd: "sbatch write.sh out/new", outputs: ["out"] };
    const commit = await commitMessage(dataset, finished(record));
    const id = jobIdIn(await dataset.succeed(["reschedule", commit]));
    const other = await dataset.tool(["schedule", "-o", "results", "sbatch", "write.sh", "x"]);
    assert.match(other.stderr, new RegExp(`held by the open job ${id}`));
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base: commit,
      finished: {
        [id]: {
          "results/new": "result of out/new\n",
          ...logs(id, "wrote out/new\n"),
        },
      },
    });
    await Deno.remove(`${dataset.root}/out`);
    await Deno.symlink(dataset.scratch.directory, `${dataset.root}/out`);
    await dataset.commit("Another link");
    const { code, stderr } = await dataset.tool(["reschedule", commit]);
    assert.match(
      stderr,
      /The recorded output "out" is a link to the directory .* outside the data/,
    );
    assert.equal(code, 1);
  },
  "hostile records are refused, or shown harmlessly": async () => {
    await using dataset = await TestDataset.make();
    const outside = `${dataset.scratch.directory}/outside`;
    for (
      const [record, id] of [
        [{ outputs: ["../outside"] }],
        [{ outputs: [outside] }],
        [{ outputs: [".git/hooks/post-commit"] }],
        [{ inputs: ["../../etc/passwd"] }],
        [{ extra_inputs: ["/etc/passwd"] }],
        [{ pwd: ".." }],
        [{ pwd: "/" }],
        [{ pwd: ".git" }],
        [{ slurm_job_id: "1; touch /tmp/x" }],
        [{ slurm_job_id: "--version" }],
        [{ cmd: "" }],
        [{ cmd: 7 }],
        [{ outputs: "a" }],
      ] as [Record<string, unknown>, string?][]
    ) {
      const commit = await commitMessage(dataset, finished(record, id));
      const { code, stdout, stderr } = await dataset.tool(["reschedule", commit]);
      assert.notEqual(code, 0, JSON.stringify(record));
      assert.notEqual(code, 255, `${JSON.stringify(record)}: ${stderr}`);
      assert.equal(stdout, "");
      assert.equal(await dataset.git("rev-parse", "HEAD"), commit, JSON.stringify(record));
    }
    assert.deepEqual(await jobsSubmittedBelow(dataset.scratch.directory), []);
    const shown = await commitMessage(
      dataset,
      finished({ cmd: "sbatch write.sh a # \x1b]0;title\x07\u202e\r", outputs: ["a\x1b[31m"] }),
    );
    const { stdout, stderr } = await dataset.tool(["reschedule", "--report", shown]);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stdout + stderr, /[\x1b\x07\r\u202e]/);
    assert.match(stdout, /\\x1b\]0;title\\x07/);
    // A link in a record's way does not lead outside either.
    await Deno.mkdir(outside);
    await Deno.symlink(outside, `${dataset.root}/link`);
    await dataset.commit("Link");
    const through = await commitMessage(dataset, finished({ outputs: ["link/x"] }));
    assert.equal((await dataset.tool(["reschedule", through])).code, 1);
  },
});

concurrently(noRealSlurm || noDatalad, {
  "a clone without the batch script is told whether the job's commit has it": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("new.sh", "#!/bin/sh\n");
    await dataset.write("moved.sh", "#!/bin/sh\n");
    await dataset.git("add", "moved.sh");
    await dataset.git("commit", "-qm", "A script");
    await dataset.schedule(["-o", "new", "sbatch", "new.sh"]);
    await dataset.schedule(["-o", "moved", "sbatch", "moved.sh"]);
    await jobsAreOver(await jobsSubmittedBelow(dataset.root));
    await dataset.succeed(["finish"]);
    const [moved = "", fresh = ""] = (await dataset.git("log", "--format=%H", "--grep=SCHEDULE"))
      .split("\n");
    await dataset.git("rm", "-q", "moved.sh");
    await dataset.git("commit", "-qm", "Without it");
    const clone = dataset.at(`${dataset.scratch.directory}/clone`);
    await dataset.git("clone", "-q", ".", clone.root);
    const said = async (commit: string) => (await clone.tool(["reschedule", commit])).stderr;
    assert.match(
      await said(fresh),
      /^Error: There is no batch script "new\.sh"\nHint: Job \d+ ran .*; it was in no commit then/,
    );
    assert.match(
      await said(moved),
      new RegExp(`^Hint: .* git checkout ${moved.slice(0, 10)} -- moved\\.sh$`, "m"),
    );
  },
  "--since reschedules the jobs of a merged history in a fresh clone, content fetched":
    async () => {
      await using source = await TestDataset.make({ kind: "annex" });
      await source.write("data/in", "input\n");
      await source.git("annex", "add", "-q", "data");
      await source.commit("Data");
      const start = await source.git("rev-parse", "HEAD");
      const one = await runJob(
        source,
        ...["-i", "data/in", "-o", "one", "sbatch --wrap 'cat {inputs} >{outputs}'"],
      );
      await source.git("checkout", "-q", "-b", "side", start);
      const two = await runJob(source, "-o", "two", "sbatch", "write.sh", "two");
      const bad = await runJob(source, "-o", "bad", "sbatch", "fail.sh", "bad");
      await source.git("checkout", "-q", "main");
      await source.git("merge", "-q", "--no-edit", "side");
      const clone = await dataladClone(source);
      const base = await clone.git("rev-parse", "HEAD");
      const report = await clone.succeed(["reschedule", "--report", "--since", start]);
      assert.deepEqual(reported(report).toSorted(), [one, two]);
      const all = await clone.succeed([
        ...["reschedule", "--report", "--with-failed-jobs", "--since", start],
      ]);
      assert.deepEqual(reported(all).toSorted(), [one, two, bad].toSorted());
      const script = await clone.succeed(["reschedule", "--script", "-", "--since", start]);
      assert.match(script, /^#!\/bin\/sh\n/);
      assert.match(script, /\(cd \. && sbatch --wrap 'cat data\/in >one'\)/);
      const path = `${source.scratch.directory}/again.sh`;
      await clone.succeed(["reschedule", "--script", path, "--since", start]);
      assert.equal(await Deno.readTextFile(path), script);
      const second = await clone.tool(["reschedule", "--script", path, "--since", start]);
      assert.equal(second.code, 1, "A file that is there stays");
      await checkDataset(clone, { base });
      assert.deepEqual(await jobsSubmittedBelow(clone.root), []);

      const { code, stdout, stderr } = await clone.tool(["reschedule", "--since", start]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /sbatch --wrap 'cat data\/in >one'/, "Shown first");
      const ids = [...stdout.matchAll(/^Submitted batch job (\d+)$/gm)].map(([, id]) => id ?? "");
      assert.equal(ids.length, 2);
      await jobsAreOver(ids);
      assert.equal(await Deno.readTextFile(`${clone.root}/data/in`), "input\n");
      await clone.succeed(["finish"]);
      await clone.git("annex", "fsck", "--quiet", "one", "two");
      await checkWithDatalad(clone, { one: "input\n", two: "result of two\n" });
    },
});
