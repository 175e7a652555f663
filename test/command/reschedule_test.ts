import assert from "node:assert/strict";
import { checkDataset, type Content, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { readOutput } from "../support/output_records.ts";
import { jobsAreOver, jobsSubmittedBelow, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Schedules a job, waits for its end and finishes it; returns the job and the two commits. */
async function runJob(dataset: TestDataset, args: readonly string[]) {
  const id = await dataset.schedule(args);
  const scheduled = await dataset.git("rev-parse", "HEAD");
  await jobsAreOver([id]);
  await dataset.succeed(["finish", id]);
  return { id, scheduled, finished: await dataset.git("rev-parse", "HEAD") };
}

async function rescheduleJob(dataset: TestDataset, args: readonly string[]): Promise<string> {
  return jobIdIn(await dataset.succeed(["reschedule", ...args]));
}

/** What a job that runs `write.sh` again changes: its output is the same, but for other files. */
function writtenAgain(
  id: string,
  files: readonly string[],
  others: readonly string[] = [],
): Record<string, Content> {
  return Object.fromEntries(
    Object.entries(written(id, [...files, ...others])).filter(([path]) => !files.includes(path)),
  );
}

concurrently(false, {
  "the history looks as the documentation shows it": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const { id, scheduled } = await runJob(dataset, [
      "-o",
      "models/gold",
      "sbatch",
      "write.sh",
      "models/gold",
    ]);
    const again = await rescheduleJob(dataset, [scheduled]);
    await jobsAreOver([again]);
    await dataset.succeed(["finish"]);
    assert.deepEqual((await dataset.git("log", "--format=%s", `${base}..`)).split("\n"), [
      `[DATALAD FINISH] Processed batch job ${again}: Complete`,
      `[DATALAD RESCHEDULE] Submitted batch job ${again}: Pending`,
      `[DATALAD FINISH] Processed batch job ${id}: Complete`,
      `[DATALAD SCHEDULE] Submitted batch job ${id}: Pending`,
    ]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: written(id, ["models/gold"]),
        [again]: writtenAgain(again, ["models/gold"]),
      },
    });
  },
  "schedule, finish and reschedule commits can be named, and the chain grows": async () => {
    await using dataset = await TestDataset.make();
    const { id, scheduled, finished } = await runJob(dataset, [
      "-o",
      "out",
      "sbatch",
      "write.sh",
      "out",
    ]);
    assert.deepEqual((await dataset.record(scheduled)).chain, []);
    const second = await rescheduleJob(dataset, [finished]);
    const secondCommit = await dataset.git("rev-parse", "HEAD");
    assert.deepEqual((await dataset.record()).chain, [scheduled]);
    await jobsAreOver([second]);
    await dataset.succeed(["finish", second]);
    const third = await rescheduleJob(dataset, [secondCommit]);
    const { chain, cmd, outputs } = await dataset.record();
    assert.deepEqual({ chain, cmd, outputs }, {
      chain: [scheduled, secondCommit],
      cmd: "sbatch write.sh out",
      outputs: ["out"],
    });
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [id, second, third]);
  },
  "locked annexed outputs become writable, also those in a directory": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const command = "mkdir -p dir; echo x >>out; echo x >>dir/a";
    const { id } = await runJob(dataset, ["-o", "out", "-o", "dir", "sbatch", "--wrap", command]);
    assert((await Deno.lstat(`${dataset.root}/out`)).isSymlink);
    const again = await rescheduleJob(dataset, ["HEAD"]);
    await jobsAreOver([again]);
    await dataset.succeed(["finish"]);
    const files = (job: string, content: string) => ({
      out: content,
      "dir/a": content,
      [`slurm-${job}.out`]: "",
      [`slurm-job-${job}.env.json`]: environmentOf(job),
    });
    await checkDataset(dataset, {
      base,
      finished: { [id]: files(id, "x\n"), [again]: files(again, "x\nx\n") },
    });
  },
  "a job that is not finished cannot be rescheduled": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const { code, stderr } = await dataset.tool(["reschedule", "HEAD"]);
    assert.match(stderr, new RegExp(`Job ${id} \\(\\w+\\) is not finished`));
    assert.match(stderr, new RegExp(`Hint: .*datalad-slurm finish ${id}`));
    assert.equal(code, 1);
    const other = await dataset.tool(["reschedule", base]);
    assert.match(other.stderr, /records no job/);
    assert.equal(other.code, 1);
    const none = await dataset.tool(["reschedule", "nonsense"]);
    assert.match(none.stderr, /"nonsense" is neither a commit nor the id of a job/);
    await checkDataset(dataset, { base, open: [id] });
  },
  "--since reschedules all later jobs, --report submits nothing": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const first = await runJob(dataset, ["-o", "a", "sbatch", "write.sh", "a"]);
    const second = await runJob(dataset, ["-o", "b", "sbatch", "write.sh", "b"]);
    const third = await runJob(dataset, ["-o", "c", "sbatch", "write.sh", "c"]);
    const before = await dataset.git("rev-parse", "HEAD");
    const report = await dataset.succeed(["reschedule", "--report", "--since", first.finished]);
    assert.match(report, /sbatch write\.sh b[^]*sbatch write\.sh c/);
    assert.doesNotMatch(report, /write\.sh a/);
    assert.equal(await dataset.git("rev-parse", "HEAD"), before);
    assert.equal((await jobsSubmittedBelow(dataset.root)).length, 3);
    const { stdout, stderr } = await dataset.tool([
      ...["reschedule", "--verbose", "--since", first.finished],
    ]);
    // Each record goes on top of the one before at once.
    assert.equal(stderr.match(/ ms {2}git update-ref/g)?.length, 2, stderr);
    const ids = [...stdout.matchAll(/Submitted batch job (\d+)/g)].map((match) => match[1] ?? "");
    assert.equal(ids.length, 2);
    const [b = "", c = ""] = ids;
    await jobsAreOver(ids);
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [first.id]: written(first.id, ["a"]),
        [second.id]: written(second.id, ["b"]),
        [third.id]: written(third.id, ["c"]),
        [b]: writtenAgain(b, ["b"]),
        [c]: writtenAgain(c, ["c"]),
      },
    });
  },
  "--since leaves out what is open, and what another job is in the place of": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const first = await runJob(dataset, ["-o", "a", "sbatch", "write.sh", "a"]);
    const again = await rescheduleJob(dataset, [first.finished]);
    await jobsAreOver([again]);
    await dataset.succeed(["finish"]);
    const held = await dataset.schedule(["-o", "b", "sbatch", "-H", "write.sh", "b"]);
    const { code, stdout, stderr } = await dataset.tool(["reschedule", "--since", base]);
    const third = jobIdIn(stdout);
    assert.match(stderr, new RegExp(`Note: Job ${first.id} is left out: job ${again} is in its`));
    assert.match(stderr, new RegExp(`Note: Job ${held} \\(\\w+\\) is not finished`));
    assert.equal(code, 8);
    const report = await dataset.tool(["reschedule", "--json", "--since", base, "--report"]);
    assert.equal(report.code, 8);
    assert.deepEqual(
      readOutput(report.stdout).map(({ record }) =>
        record.action === "reschedule" && "original_slurm_job_id" in record
          ? [record.status, record.original_slurm_job_id]
          : record
      ),
      [
        ["notneeded", first.id],
        ["notneeded", again],
        ["impossible", held],
        ["impossible", third],
      ],
    );
    assert.deepEqual(await jobsSubmittedBelow(dataset.root), [first.id, again, held, third]);
    await jobsAreOver([third]);
    await dataset.succeed(["finish", third]);
    await checkDataset(dataset, {
      base,
      open: [held],
      finished: {
        [first.id]: written(first.id, ["a"]),
        [again]: writtenAgain(again, ["a"]),
        [third]: writtenAgain(third, ["a"]),
      },
    });
  },
  "--since submits the newest of jobs with the same outputs, and says so of the others":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const older = await runJob(dataset, ["-o", "x", "sbatch", "write.sh", "x"]);
      const newer = await runJob(dataset, ["-o", "x", "-o", "z", "sbatch", "write.sh", "x", "z"]);
      const other = await runJob(dataset, ["-o", "y", "sbatch", "write.sh", "y"]);
      const said = new RegExp(
        `Note: Job ${older.id} is left out: job ${newer.id}, which is newer, writes to "x" as well`,
      );
      const report = await dataset.tool(["reschedule", "--report", "--since", base]);
      assert.match(report.stderr, said);
      assert.equal(report.code, 0);
      assert.doesNotMatch(report.stdout, /write\.sh x$/m);
      const json = await dataset.succeed(["reschedule", "--json", "--report", "--since", base]);
      assert.deepEqual(
        readOutput(json).map(({ record }) =>
          record.action === "reschedule" && "original_slurm_job_id" in record
            ? [record.status, record.original_slurm_job_id]
            : record
        ),
        [["ok", newer.id], ["ok", other.id], ["notneeded", older.id]],
      );
      const { code, stdout, stderr } = await dataset.tool(["reschedule", "--since", base]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, said);
      const ids = [...stdout.matchAll(/Submitted batch job (\d+)/g)].map((match) => match[1] ?? "");
      const [z = "", y = ""] = ids;
      assert.equal(ids.length, 2);
      await jobsAreOver(ids);
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, {
        base,
        finished: {
          [older.id]: written(older.id, ["x"]),
          [newer.id]: writtenAgain(newer.id, ["x"], ["z"]),
          [other.id]: written(other.id, ["y"]),
          [z]: writtenAgain(z, ["x", "z"]),
          [y]: writtenAgain(y, ["y"]),
        },
      });
    },
  "--since does not drop a job that writes beside another one, nor one that is refused":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const tasks = (list: string) => [
        ...["-o", "out/%a", "sbatch", `--array=${list}`, "--wrap"],
        "mkdir -p out; echo x >out/$SLURM_ARRAY_TASK_ID",
      ];
      const older = await runJob(dataset, tasks("1-2"));
      const newer = await runJob(dataset, tasks("3-4"));
      await dataset.write("data", "x\n");
      await dataset.commit("Data");
      const missing = await runJob(dataset, ["-i", "data", "-o", "m", "sbatch", "write.sh", "m"]);
      const last = await runJob(dataset, ["-o", "n", "sbatch", "write.sh", "n"]);
      await dataset.git("rm", "-q", "data");
      await dataset.git("commit", "-qm", "Without data");
      const { code, stdout, stderr } = await dataset.tool(["reschedule", "--since", base]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(
          `Error: Job ${older.id} is left out: job ${newer.id}, which is newer, ` +
            'writes to "out" as well\\nHint: .*: datalad-slurm reschedule ' +
            older.scheduled.slice(0, 10),
        ),
      );
      assert.match(
        stderr,
        new RegExp(`Error: Job ${missing.id}: The input "data" does not exist\\nHint: Nothing was`),
      );
      const ids = [...stdout.matchAll(/Submitted batch job (\d+)/g)].map((match) => match[1] ?? "");
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), [
        ...[older.id, newer.id, missing.id, last.id],
        ...ids,
      ]);
      assert.equal(ids.length, 2, stdout);
      await jobsAreOver(ids);
      await dataset.succeed(["finish"]);
      assert.equal(await dataset.git("status", "--porcelain"), "");
    },
  "a job that depends on others is told of with their old ids": async () => {
    await using dataset = await TestDataset.make();
    const first = await runJob(dataset, ["-o", "x", "sbatch", "write.sh", "x"]);
    const depends = `--dependency=afterok:${first.id}`;
    const second = await runJob(dataset, ["-o", "y", "sbatch", depends, "write.sh", "y"]);
    const note = new RegExp(`It depends on jobs of then \\(afterok:${first.id}\\)`);
    assert.match(await dataset.succeed(["reschedule", "--report", second.id]), note);
    assert.match((await dataset.tool(["reschedule", second.id])).stderr, note);
    const report = await dataset.succeed(["reschedule", "--report", first.id]);
    assert.doesNotMatch(report, /It depends/);
  },
  "--since does not drop a job for a newer one that is refused": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const older = await runJob(dataset, ["-o", "x", "sbatch", "write.sh", "x"]);
    await dataset.write("job.sh", "#!/bin/sh\necho y >x\n");
    const newer = await runJob(dataset, ["-o", "x", "sbatch", "job.sh"]);
    await Deno.remove(`${dataset.root}/job.sh`);
    const { code, stderr } = await dataset.tool(["reschedule", "--since", base]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(
        `^Error: Job ${older.id} is left out: job ${newer.id}, .*\\n` +
          `Hint: Submit it with: datalad-slurm reschedule ${older.scheduled.slice(0, 10)}$`,
        "m",
      ),
    );
  },
  "--since does not drop a job whose output is the newer one's input": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const older = await runJob(dataset, ["-o", "x", "sbatch", "write.sh", "x"]);
    const newer = await runJob(dataset, ["-i", "x", "-o", "x", "sbatch", "--wrap", "echo y >>x"]);
    const { code, stdout, stderr } = await dataset.tool([
      ...["reschedule", "--report", "--since", base],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^Error: Job ${older.id} is left out: job ${newer.id}`, "m"));
    assert.match(stdout, new RegExp(`^Job ${newer.id} `, "m"));
  },
  "--onto and --branch leave HEAD and the branches as they were where no job is submitted":
    async () => {
      await using dataset = await TestDataset.make();
      const start = await dataset.git("rev-parse", "HEAD");
      await dataset.write("new.sh", "#!/bin/sh\necho x >out\n");
      await dataset.write("data", "x\n");
      const base = await dataset.commit("Script and data");
      const held = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh", "held"]);
      const refused = async (place: readonly string[], args: readonly string[], said: RegExp) => {
        const before = await dataset.git("symbolic-ref", "-q", "HEAD").catch(() => "detached");
        const head = await dataset.git("rev-parse", "HEAD");
        const { code, stderr } = await dataset.tool(["reschedule", ...place, ...args]);
        assert.equal(code, 1, stderr);
        assert.match(stderr, said);
        const after = await dataset.git("symbolic-ref", "-q", "HEAD").catch(() => "detached");
        assert.equal(after, before);
        assert.equal(await dataset.git("rev-parse", "HEAD"), head);
        assert.equal(await dataset.git("branch", "--list", "again"), "");
        assert.equal(await dataset.git("status", "--porcelain"), "?? mine");
      };
      await dataset.write("mine", "");
      const place = ["--onto", start, "--branch", "again"];
      await refused(["--onto", "HEAD~1", "--branch", "again"], ["HEAD"], /is not finished/);
      const script = await runJob(dataset, ["-o", "out", "sbatch", "new.sh"]);
      await refused(["--onto", "nowhere", "-b", "again"], ["HEAD"], /"nowhere" names no commit/);
      await refused(place, ["HEAD"], /There is no batch script "new\.sh"/);
      const input = await runJob(dataset, ["-i", "data", "-o", "in", "sbatch", "write.sh", "in"]);
      await refused(place, ["HEAD"], /The input "data" does not exist/);
      await refused(place, ["--since", base], /The input "data" does not exist/);
      await dataset.git("checkout", "-q", "--detach");
      await refused(["--onto", start], ["HEAD"], /The input "data" does not exist/);
      await refused(place, ["HEAD"], /The input "data" does not exist/);
      assert.deepEqual(await jobsSubmittedBelow(dataset.root), [held, script.id, input.id]);
      const again = await rescheduleJob(dataset, ["--onto", base, "--branch", "again", "HEAD"]);
      assert.equal(await dataset.git("symbolic-ref", "HEAD"), "refs/heads/again");
      await jobsAreOver([again]);
    },
  "the command runs again in its directory, and is shown before": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("sub/keep", "");
    await dataset.commit("Sub");
    const id = await dataset.schedule(["-o", "out", "-m", "Why", "sbatch", "../write.sh", "out"], {
      in: "sub",
    });
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    await Deno.remove(`${dataset.root}/sub/out`);
    const { code, stderr } = await dataset.tool(["reschedule", "HEAD"]);
    assert.equal(code, 0);
    assert.match(stderr, /in "sub":\n {2}sbatch \.\.\/write\.sh out\n/);
    const again = (await jobsSubmittedBelow(dataset.root)).at(-1) ?? "";
    await jobsAreOver([again]);
    assert.equal(await Deno.readTextFile(`${dataset.root}/sub/out`), "result of out\n");
    assert.equal((await dataset.record()).pwd, "sub");
  },
});
