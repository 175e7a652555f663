import assert from "node:assert/strict";
import { finishByJobs } from "../stress/finishing_jobs.ts";
import { runInterposed } from "../stress/interpose.ts";
import { checkDataset, environmentOf, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, letGo, TestDataset } from "../support/dataset.ts";
import { onlyOutput } from "../support/output_records.ts";
import {
  jobsAreAccounted,
  jobsAreOver,
  noRealSlurm,
  slurm,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

/** Returns the id of the finishing job in what `schedule` or `reschedule` prints. */
function finisherIn(stdout: string): string {
  const id = /^Job (\d+) will finish it$/m.exec(stdout)?.[1];
  assert(id !== undefined, stdout);
  return id;
}

/** Schedules a job that is to be finished by a job, and waits until that is over. */
async function runAutoFinished(
  dataset: TestDataset,
  args: readonly string[],
): Promise<{ id: string; finisher: string }> {
  const stdout = await dataset.succeed(["schedule", ...args]);
  const [id, finisher] = [jobIdIn(stdout), finisherIn(stdout)];
  await jobsAreOver([id, finisher]);
  return { id, finisher };
}

/** Returns how the finishing jobs of the dataset are kept below the git directory. */
function kept(dataset: TestDataset): string[] {
  try {
    return [...Deno.readDirSync(`${dataset.root}/.git/datalad-slurm/auto-finish`)]
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

concurrently(false, {
  "--auto-finish commits the results when the job has ended, and leaves nothing": async () => {
    await using dataset = await TestDataset.make({ kind: "text2git" });
    const base = await dataset.git("rev-parse", "HEAD");
    // What makes the job special is not the finishing job's.
    dataset.env["SBATCH_ARRAY_INX"] = "1-2";
    dataset.env["SBATCH_OUTPUT"] = "log-%a";
    const { id } = await runAutoFinished(dataset, [
      "--auto-finish",
      "-o",
      "out",
      "sbatch",
      "write.sh",
      "out",
    ]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out": "result of out\n",
          "log-1": "wrote out\n",
          "log-2": "wrote out\n",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
    assert.deepEqual(kept(dataset), []);
  },
  "a job that fails is left open, or committed, as was asked for": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const left = await runAutoFinished(dataset, [
      "--auto-finish",
      "-o",
      "left",
      "sbatch",
      "--wrap=echo left >left; exit 3",
    ]);
    const { stdout, stderr } = await dataset.tool(["status"]);
    assert.match(stdout, new RegExp(` ${left.id} +Failed `));
    // It was asked to be left open, so that nothing is wrong.
    const note = `Its finishing job ${left.finisher} has left it open, as the job failed`;
    assert.equal(
      stderr,
      `Job ${left.id}: ${note}\nHint: With datalad-slurm finish, --commit-failed-jobs commits ` +
        "what failed jobs left, --close-failed-jobs records them without outputs\n",
    );
    const json = await dataset.tool(["status", "--json"]);
    assert.equal(onlyOutput(json.stdout, "openJob").auto_finish?.message, note);
    const committed = await runAutoFinished(dataset, [
      "--auto-finish",
      "--commit-failed-jobs",
      "-o",
      "kept",
      "sbatch",
      "--wrap=echo kept >kept; exit 3",
    ]);
    await dataset.succeed(["finish", "--close-failed-jobs", left.id]);
    await checkDataset(dataset, {
      base,
      finished: {
        [left.id]: {},
        [committed.id]: {
          "kept": "kept\n",
          [`slurm-${committed.id}.out`]: "",
          [`slurm-job-${committed.id}.env.json`]: environmentOf(committed.id, "FAILED"),
        },
      },
      status: ["?? left", `?? slurm-${left.id}.out`],
    });
  },
  "what the finishing job does with a failed job may be configured, and is recorded": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("config", "datalad-slurm.failed-jobs", "close");
    const base = await dataset.git("rev-parse", "HEAD");
    const said = await dataset.succeed(
      ["schedule", "--auto-finish", "-o", "out", "sbatch", "fail.sh", "out"],
    );
    const id = jobIdIn(said);
    assert.equal((await dataset.record()).datalad_slurm.auto_finish, "close");
    await jobsAreOver([id, finisherIn(said)]);
    const status = ["?? out", `?? slurm-${id}.out`];
    await checkDataset(dataset, { base, finished: { [id]: {} }, status });
  },
  "a finishing job is about its own job alone, also where two clusters use one id": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(["-o", "a", "sbatch", "fail.sh", "a"]);
    await jobsAreOver([id]);
    const { token } = (await dataset.record()).datalad_slurm;
    // A record of the same id by the same clone.
    const other = "0123456789abcdef01234567";
    const message = (await dataset.git("log", "-1", "--format=%B")).replaceAll(token, other)
      .replace('"a"', '"b"');
    await dataset.git("commit", "-q", "--allow-empty", "-m", message);
    await dataset.succeed(["finish", "--wait", "--close-failed-jobs", other]);
    const left = await dataset.tool(["status", "--json"]);
    assert.match(left.stdout, new RegExp(id));
    assert.equal((await dataset.record()).datalad_slurm.token, other);
    const again = await dataset.tool(["finish", "--wait", "--close-failed-jobs", other]);
    assert.match(again.stderr, new RegExp(`Job ${id} is finished already`));
  },
  "reschedule --auto-finish, with options for the finishing job": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const { id: first } = await runAutoFinished(dataset, [
      "--auto-finish",
      "-o",
      "out",
      "sbatch",
      "write.sh",
      "out",
    ]);
    const pipe = await dataset.pipe("pipe");
    await dataset.git("config", "datalad-slurm.autofinish.sbatch", "--time=7 --comment='of mine'");
    const stdout = await dataset.succeed(["reschedule", "--auto-finish", "HEAD"]);
    const [again, finisher] = [jobIdIn(stdout), finisherIn(stdout)];
    await jobsAreOver([again, finisher]);
    assert.match(await slurm("scontrol", "show", "job", finisher), /TimeLimit=00:07:00/);
    const held = await dataset.succeed([
      "schedule",
      "--auto-finish=--nice=5",
      "-o",
      "held",
      "sbatch",
      "wait.sh",
      pipe,
      "held",
    ]);
    const shown = await slurm("scontrol", "show", "job", finisherIn(held));
    assert.match(shown, / Nice=5 /);
    assert.match(shown, new RegExp(`Dependency=afterany:${jobIdIn(held)}`));
    const open = await dataset.succeed(["show", jobIdIn(held)]);
    assert.match(
      open,
      new RegExp(
        `^Finished +no commit yet\n +its finishing job is ${
          finisherIn(held)
        }: Pending \\(Dependency\\)$`,
        "m",
      ),
    );
    for (const command of ["show", "finish", "log"]) {
      const { code, stderr } = await dataset.tool([command, finisherIn(held)]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`Job ${finisherIn(held)} is the finishing job of job ${jobIdIn(held)}`),
        command,
      );
    }
    await letGo(pipe);
    await jobsAreOver([jobIdIn(held), finisherIn(held)]);
    const held_id = jobIdIn(held);
    await checkDataset(dataset, {
      base,
      finished: {
        [first]: written(first, ["out"]),
        // It wrote the same once more.
        [again]: {
          [`slurm-${again}.out`]: "wrote out\n",
          [`slurm-job-${again}.env.json`]: environmentOf(again),
        },
        [held_id]: {
          "held": "go\n",
          [`slurm-${held_id}.out`]: "",
          [`slurm-job-${held_id}.env.json`]: environmentOf(held_id),
        },
      },
    });
  },
  "a finishing job that fails is told of, with its last words and its log": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const pipe = await dataset.pipe("pipe");
    const stdout = await dataset.succeed([
      "schedule",
      "--auto-finish",
      "-o",
      "out",
      "sbatch",
      "wait.sh",
      pipe,
      "out",
    ]);
    const [id, finisher] = [jobIdIn(stdout), finisherIn(stdout)];
    await dataset.git("checkout", "-q", "-b", "other", base);
    await letGo(pipe);
    await jobsAreAccounted([id, finisher]);
    await dataset.git("checkout", "-q", "main");
    const { stderr } = await dataset.tool(["status"]);
    const problem = new RegExp(
      `Job ${id}: Its finishing job ${finisher} has failed \\(FAILED, exit code 1\\): ` +
        `Error: Job ${id} belongs to another branch`,
    );
    assert.match(stderr, problem);
    assert.match((await dataset.tool(["status", "--watch"])).stderr, problem);
    const log = /^ {2}Log: (.*)$/m.exec(stderr)?.[1] ?? "";
    assert.match(await Deno.readTextFile(log), /belongs to another branch/);
    assert(log.startsWith(`${dataset.root}/.git/datalad-slurm/auto-finish/`));
    const record = onlyOutput(await dataset.succeed(["status", "--json"]), "openJob");
    assert.equal(record.auto_finish?.slurm_job_id, finisher);
    assert.equal(record.auto_finish?.state, "FAILED");
    await dataset.succeed(["finish"]);
    assert.deepEqual(kept(dataset), []);
    assert.doesNotMatch((await dataset.tool(["status"])).stderr, /finishing job/);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          "out": "go\n",
          [`slurm-${id}.out`]: "",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
    });
  },
  "killed between the two submissions: status says that there is no finishing job": async () => {
    await using dataset = await TestDataset.make();
    const { code } = await runInterposed(
      dataset,
      ["schedule", "--auto-finish", "-o", "out", "sbatch", "-H", "write.sh", "out"],
      { program: "git", when: "*update-ref*", after: "kill -9 $TOOL" },
    );
    assert.equal(code, 137);
    assert.match(
      (await dataset.tool(["status"])).stderr,
      /Job \d+: There is no finishing job: it was not submitted, or that was cut short/,
    );
  },
  "on a branch that has not finished the job, status knows that another has": async () => {
    await using dataset = await TestDataset.make();
    const said = await dataset.succeed(
      ["schedule", "--auto-finish", "-o", "out", "sbatch", "fail.sh", "out"],
    );
    await jobsAreOver([jobIdIn(said), finisherIn(said)]);
    const before = await dataset.git("rev-parse", "HEAD");
    await dataset.succeed(["finish", "--close-failed-jobs"]);
    await dataset.git("checkout", "-q", before);
    const { stdout, stderr } = await dataset.tool(["status"]);
    assert.match(stdout, /Failed/);
    assert.equal(stderr, "");
  },
  "sixteen jobs that are finished at once are all finished": () => finishByJobs("git", 16),
});

concurrently(noRealSlurm, {
  "a finishing job that is refused is told of, and finish does its work": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const bad = await dataset.tool([
      "schedule",
      "--auto-finish='",
      "-o",
      "x",
      "sbatch",
      "write.sh",
    ]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /The quotes in --auto-finish do not match/);
    const { code, stdout, stderr } = await dataset.tool([
      "schedule",
      "--json",
      "--auto-finish=--partition=none",
      "-o",
      "out",
      "sbatch",
      "write.sh",
      "out",
    ]);
    // The job is submitted: a script that tried again would submit it twice.
    assert.equal(code, 0);
    const { slurm_job_id: id, auto_finish } = onlyOutput(stdout, "submitted");
    assert.match(auto_finish?.message ?? "", /sbatch refused it: .*Invalid partition/);
    assert.match(stderr, new RegExp(`Job ${id} has no finishing job: sbatch refused it`));
    assert.match(
      (await dataset.tool(["status"])).stderr,
      new RegExp(`Job ${id}: There is no finishing job: sbatch refused it: .*Invalid partition`),
    );
    await jobsAreOver([id]);
    await dataset.succeed(["finish"]);
    assert.doesNotMatch((await dataset.tool(["status"])).stderr, /finishing job/);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    assert.deepEqual(kept(dataset), []);
  },
});
