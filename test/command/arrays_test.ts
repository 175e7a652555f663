import assert from "node:assert/strict";
import { checkDataset, type Content, environmentOf } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { onlyOutput } from "../support/output_records.ts";
import {
  jobIs,
  jobsAreOver,
  noRealSlurm,
  slurm,
  until,
  useCluster,
} from "../support/real_slurm.ts";

useCluster();

/** Returns what tasks of `array.sh out` leave: their outputs and logs. */
function filesOf(id: string, tasks: readonly number[]): Record<string, Content> {
  return Object.fromEntries(
    tasks.flatMap((task) => [[`out/${task}`, `task ${task}\n`], [`slurm-${id}_${task}.out`, ""]]),
  );
}

/** Schedules an array of which all tasks are held; each has an output of its own. */
async function scheduleHeld(
  dataset: TestDataset,
  array: string,
  failing: readonly number[] = [],
  outputs: readonly string[] = ["out/%a"],
): Promise<string> {
  return await dataset.schedule([
    ...outputs.flatMap((output) => ["-o", output]),
    "sbatch",
    "-H",
    `--array=${array}`,
    "array.sh",
    "out",
    ...failing.map(String),
  ]);
}

/** Lets tasks of an array run, and waits until they are over. */
async function runTasks(id: string, tasks: readonly number[], state = "COMPLETED"): Promise<void> {
  for (const task of tasks) await slurm("scontrol", "release", `${id}_${task}`);
  for (const task of tasks) await jobIs(`${id}_${task}`, state);
}

/** Returns the ids that Slurm has given the tasks of an array which is over, and had so many. */
async function rawIds(id: string, count: number): Promise<Map<number, string>> {
  let tasks = new Map<number, string>();
  // For a second after its end, sacct shows of an array its last task alone (22.05).
  await until(`accounting has the tasks of job ${id}`, async () => {
    const rows = await slurm("sacct", "-nXPj", id, "-o", "JobID,JobIDRaw");
    tasks = new Map(
      [...rows.matchAll(/^\d+_(\d+)\|(\d+)$/gm)].map(([, task, raw]) => [Number(task), `${raw}`]),
    );
    return tasks.size === count;
  });
  return tasks;
}

/** Returns a PATH on which Slurm's programs do not know some tasks of a job, or any of it. */
async function forgetting(
  dataset: TestDataset,
  id: string,
  tasks?: readonly number[],
): Promise<string> {
  const bin = `${dataset.scratch.directory}/forgetful`;
  await Deno.mkdir(bin, { recursive: true });
  const name = tasks === undefined ? id : `${id}_(${tasks.join("|")})`;
  for (const program of ["sacct", "squeue", "scontrol"]) {
    const real = (await dataset.run(["which", program])).stdout.trim();
    const lines = program === "scontrol" && tasks === undefined
      ? "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
      : `${real} "$@" | grep -vE '^${name}[^0-9]'; exit 0`;
    await Deno.writeTextFile(`${bin}/${program}`, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  }
  return `${bin}:${dataset.env["PATH"]}`;
}

concurrently(false, {
  "--array-tasks commits the tasks that are over and keeps the array open for the others":
    async () => {
      await using dataset = await TestDataset.make();
      const base = await dataset.git("rev-parse", "HEAD");
      const id = await scheduleHeld(dataset, "0-4", [], ["out/%a", "sum"]);
      await runTasks(id, [1, 2]);
      const { code, stdout } = await dataset.tool(["finish", "--array-tasks"]);
      assert.match(
        stdout,
        new RegExp(
          `^Job ${id}_\\[1-2\\]: Complete, committed as \\w+\n` +
            `Job ${id}_\\[0,3-4\\]: Pending \\(JobHeldUser\\), left open\n$`,
        ),
      );
      assert.equal(code, 8);
      const parts = { [`${id}_[1-2]`]: filesOf(id, [1, 2]) };
      await checkDataset(dataset, { base, open: [id], parts });
      assert.match(await dataset.succeed(["status"]), /3 of 5 Pending, 2 finished/);
      const again = await dataset.tool(["finish", "--array-tasks"]);
      assert.equal(again.stdout, `Job ${id}_[0,3-4]: Pending (JobHeldUser), left open\n`);
      const other = await dataset.tool(["schedule", "-o", "out/x", "sbatch", "write.sh", "out/x"]);
      assert.match(other.stderr, new RegExp(`held by the open job ${id}`));
      await runTasks(id, [0, 3, 4]);
      await jobsAreOver([id]);
      await dataset.write("sum", "all\n");
      await dataset.succeed(["finish"]);
      await checkDataset(dataset, {
        base,
        parts,
        finished: {
          [id]: {
            ...filesOf(id, [0, 3, 4]),
            sum: "all\n",
            [`slurm-job-${id}.env.json`]: environmentOf(id),
          },
        },
      });
    },
  "tasks are named as Slurm names them": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await scheduleHeld(dataset, "0-5:5,7,8", [8]);
    await runTasks(id, [0, 5, 7]);
    await runTasks(id, [8], "FAILED");
    await dataset.succeed(["finish", `${id}_7`]);
    const { code, stdout } = await dataset.tool(["finish", `${id}_[5,8]`]);
    assert.match(
      stdout,
      new RegExp(
        `^Job ${id}_5: Complete.*\nJob ${id}_8: Failed(?: \\(exit code 4\\))?, left open\n$`,
      ),
    );
    assert.equal(code, 1);
    const { stderr } = await dataset.tool(["finish", `${id}_7`, `${id}_6`, "999999_1"]);
    assert.match(stderr, new RegExp(`The tasks 7 of job ${id} are finished already`));
    assert.match(stderr, new RegExp(`Job ${id} has no task 6: its tasks are 0,5,7-8`));
    assert.match(stderr, /No job 999999 is recorded in this dataset/);
    await dataset.succeed(["finish", "--commit-failed-jobs", `${id}_8`]);
    await dataset.succeed(["finish", `${id}_[0,5,7-8]`]);
    await checkDataset(dataset, {
      base,
      parts: {
        [`${id}_7`]: filesOf(id, [7]),
        [`${id}_5`]: filesOf(id, [5]),
        [`${id}_8`]: filesOf(id, [8]),
      },
      finished: {
        [id]: { ...filesOf(id, [0]), [`slurm-job-${id}.env.json`]: environmentOf(id, "FAILED") },
      },
    });
    assert.equal(
      await dataset.git("log", "-1", "--format=%s"),
      `[DATALAD FINISH] Processed batch job ${id}: Failed`,
    );
  },
  "failed tasks are closed without their files, and the others committed": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await scheduleHeld(dataset, "1-3", [2]);
    await runTasks(id, [1]);
    await runTasks(id, [2], "FAILED");
    assert.equal(
      (await dataset.tool(["finish", "--array-tasks", "--close-failed-jobs"])).code,
      8,
    );
    await runTasks(id, [3]);
    // The state of the array is not that of the task that was left.
    const last = await dataset.succeed(["finish"]);
    assert.match(
      last,
      new RegExp(`^Job ${id}_3: Complete, committed as \\w+; job ${id} is finished\n$`),
    );
    const shown = await dataset.succeed(["show", id]);
    assert.match(shown, /^State +Failed, task 2 closed without outputs$/m);
    await checkDataset(dataset, {
      base,
      parts: { [`${id}_[1-2]`]: filesOf(id, [1]) },
      finished: {
        [id]: { ...filesOf(id, [3]), [`slurm-job-${id}.env.json`]: environmentOf(id, "FAILED") },
      },
      status: ["?? out/2", `?? slurm-${id}_2.out`],
    });
  },
  "the last task of an array is closed as any other": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(
      ["-o", "out/%a", "sbatch", "--array=1-3", "array.sh", "out", "2", "3"],
    );
    await jobsAreOver([id]);
    await until("accounting has both exit codes", async () => {
      return (await slurm("sacct", "-nXPj", id, "-o", "ExitCode")).match(/^4:0$/gm)?.length === 2;
    });
    const left = await dataset.tool(["finish"]);
    assert.equal(
      left.stdout,
      `Job ${id}: Failed (1 of 3 Complete, 2 of 3 Failed, exit code 4), left open\n`,
    );
    assert.match(left.stderr, /^Hint: --array-tasks .*reschedule --failed-tasks COMMIT/m);
    const part = await dataset.succeed(["finish", "--close-failed-jobs", `${id}_[1-2]`]);
    assert.match(
      part,
      new RegExp(
        `^Job ${id}_\\[1-2\\]: Failed, committed as \\w+, task 2 closed without outputs\n$`,
      ),
    );
    const last = await dataset.succeed(["finish", "--close-failed-jobs", `${id}_3`]);
    assert.match(
      last,
      new RegExp(
        `^Job ${id}_3: Failed, closed without outputs as \\w+; job ${id} is finished\n$`,
      ),
    );
    assert.equal(
      await dataset.git("log", "-1", "--format=%s"),
      `[DATALAD FINISH] Processed batch job ${id}: Failed`,
    );
    const shown = await dataset.succeed(["show", id]);
    assert.match(shown, /^State +Failed, 2 tasks closed without outputs$/m);
    assert.match(shown, /^ +closed without outputs: 2-3$/m);
    assert.match(
      shown,
      new RegExp(`^Logs +slurm-${id}_1.out\nAccounting +slurm-job-${id}.env`, "m"),
    );
    const log = await dataset.succeed(["log", "out/3"]);
    assert.match(log, / Failed, task 3 closed without outputs {2}/);
    assert.doesNotMatch(log, /unchanged/);
  },
  "an array of which all tasks are over is finished as a whole": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "out", "sbatch", "--array=0-2", "array.sh", "out"]);
    await jobsAreOver([id]);
    await dataset.succeed(["finish", "--array-tasks"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: { ...filesOf(id, [0, 1, 2]), [`slurm-job-${id}.env.json`]: environmentOf(id) },
      },
    });
  },
  "many finishing at once commit each task once": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const tasks = [...Array(8).keys()];
    const id = await scheduleHeld(dataset, "0-7");
    await runTasks(id, [0]);
    // The others end while the processes are at work.
    await slurm("scontrol", "release", `${id}_[1-7]`);
    await Promise.all(tasks.map(() => dataset.tool(["finish", "--array-tasks", id])));
    await jobsAreOver([id]);
    await dataset.tool(["finish", "--array-tasks"]);
    const log = await dataset.git("log", "--format=%H %s", "--reverse", `${base}..HEAD`);
    const commits = log.split("\n").filter((line) => line.includes("FINISH"));
    const seen: string[] = [];
    const parts: Record<string, Record<string, Content>> = {};
    let rest = filesOf(id, tasks);
    for (const commit of commits) {
      const [hash = "", name = ""] = /^(\w+) .* job (\S+):/.exec(commit)?.slice(1) ?? [];
      const files = await dataset.git("show", "--format=", "--name-only", hash);
      seen.push(...files.split("\n").filter((path) => path.startsWith("out/")));
      if (name === id) continue;
      const own = files.split("\n");
      parts[name] = Object.fromEntries(own.map((path) => [path, rest[path] ?? ""]));
      rest = Object.fromEntries(Object.entries(rest).filter(([path]) => !own.includes(path)));
    }
    assert.deepEqual(seen.toSorted(), tasks.map((task) => `out/${task}`).toSorted());
    await checkDataset(dataset, {
      base,
      parts,
      finished: { [id]: { ...rest, [`slurm-job-${id}.env.json`]: environmentOf(id) } },
    });
  },
  "outputs carry fields and globs, and %% for a percent sign": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.write(
      "fields.sh",
      '#!/bin/sh\ntask=$SLURM_ARRAY_TASK_ID\nmkdir -p "a/t$task" b\n' +
        'echo "$task" >"a/t$task/x.csv"; echo "$task" >"a/t$task/x.txt"\n' +
        'echo "$task" >"b/$SLURM_ARRAY_JOB_ID-00$task"; [ "$task" = 1 ] || sleep 0.2\n' +
        'echo shared >"50%a"\n',
    );
    const scripts = await dataset.commit("Script");
    const id = await dataset.schedule([
      ...["-o", "a/t%a/*.csv", "-o", "b/%A-%3a", "-o", "50%%a"],
      ...["sbatch", "-H", "--array=1,2", "fields.sh"],
    ]);
    await runTasks(id, [1]);
    assert.equal((await dataset.tool(["finish", "--array-tasks"])).code, 8);
    await runTasks(id, [2]);
    await dataset.succeed(["finish"]);
    const files = (task: number) => ({
      [`a/t${task}/x.csv`]: `${task}\n`,
      [`b/${id}-00${task}`]: `${task}\n`,
      [`slurm-${id}_${task}.out`]: "",
    });
    await checkDataset(dataset, {
      base: scripts,
      parts: { [`${id}_1`]: files(1) },
      finished: {
        [id]: {
          ...files(2),
          "50%a": "shared\n",
          [`slurm-job-${id}.env.json`]: environmentOf(id),
        },
      },
      status: ["?? a/t1/x.txt", "?? a/t2/x.txt"],
    });
    assert.notEqual(base, scripts);
  },
  "an output of array tasks that a job has not is told of when it is submitted": async () => {
    await using dataset = await TestDataset.make();
    const outputs = ["-o", "out/%a", "-o", "log"];
    const array = await dataset.tool(
      ["schedule", ...outputs, "sbatch", "-H", "--array=3", "array.sh", "out"],
    );
    assert.doesNotMatch(array.stderr, /Warning/);
    const plain = await dataset.tool(
      ["schedule", "--json", "-o", "a/%a", "-o", "b", "sbatch", "-H", "write.sh", "b"],
    );
    assert.equal(plain.code, 0, plain.stderr);
    const { slurm_job_id: id, warnings = [] } = onlyOutput(plain.stdout, "submitted");
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0] ?? "",
      new RegExp(
        `^Job ${id} is no array, so there will be no output "a/%a": .*\\((?:\\S+/)?scancel ${id}\\)`,
      ),
    );
    assert.ok(plain.stderr.includes(`Warning: ${warnings[0]}\n`), plain.stderr);
    const table = `${dataset.scratch.directory}/table.csv`;
    await Deno.writeTextFile(table, "name\nc\nd\n");
    const batch = await dataset.tool(
      ["schedule", "--batch", table, "-o", "{name}/%a", "sbatch", "-H", "write.sh", "{name}"],
    );
    assert.equal(batch.code, 0, batch.stderr);
    const lines = batch.stderr.match(/^Warning: Line \d: Job \d+ is no array.*"[cd]\/%a"/gm);
    assert.equal(lines?.length, 2, batch.stderr);
  },
  "--failed-tasks is refused where there is nothing to do, or no way to do it": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const whole = await dataset.schedule(["-o", "a", "sbatch", "--array=1", "array.sh", "a"]);
    const plain = await dataset.schedule(["-o", "b", "sbatch", "write.sh", "b"]);
    const wrapped = await dataset.schedule([
      ...["-o", "c", "sh -c 'sbatch --array=1-2 array.sh c 2'"],
    ]);
    await jobsAreOver([whole, plain, wrapped]);
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    const log = await dataset.git("log", "--format=%H %s", `${base}..HEAD`);
    const refusal = async (id: string) => {
      const commit = new RegExp(`^(\\w+) .*job ${id}: (?:Complete|Failed)$`, "m").exec(log)?.[1];
      const { code, stderr } = await dataset.tool(["reschedule", "--failed-tasks", commit ?? ""]);
      assert.equal(code, 1);
      return stderr;
    };
    assert.match(await refusal(whole), /All tasks of job \d+ are complete: none has failed/);
    assert.match(await refusal(plain), /Of job \d+ no states of array tasks are recorded/);
    assert.match(await refusal(wrapped), /it does not begin with sbatch[^]*--array=2/);
    assert.equal(await dataset.git("log", "--format=%H %s", `${base}..HEAD`), log);
  },
});

concurrently(noRealSlurm, {
  "--assume-state counts for the tasks that Slurm does not know, and for no others": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await scheduleHeld(dataset, "0-4", [4]);
    await runTasks(id, [0, 1, 2]);
    const forgetful = { env: { PATH: await forgetting(dataset, id, [1, 2, 3]) } };
    const assume = (state: string, ...words: string[]) =>
      dataset.tool(["finish", "--assume-state", state, ...words], forgetful);
    const hint = `Name the tasks whose end Slurm does not know: .* '${id}_\\[1-3\\]'`;
    const live = await assume("completed", id);
    assert.equal(live.code, 1);
    assert.match(live.stderr, new RegExp(`of job ${id}_4: Pending\n(?:.*\n)*Hint: ${hint}`));
    const held = await assume("failed", `${id}_4`);
    assert.match(held.stderr, new RegExp(`Slurm knows the state of job ${id}_4: Pending`));
    const other = await assume("failed", `${id}_0`);
    assert.match(other.stderr, new RegExp(`Slurm knows the state of job ${id}_0: Complete`));
    assert.equal(await dataset.git("rev-parse", "HEAD~1"), base, "nothing was committed");
    // What is told of a task is its own.
    const unknown = await dataset.tool(["finish", `${id}_3`], forgetful);
    assert.match(unknown.stderr, /It left no log/);
    assert.match(unknown.stderr, /These outputs are not there: "out\/3"/);

    const one = await assume("completed", `${id}_1`);
    assert.match(one.stdout, new RegExp(`^Job ${id}_1: Complete \\(assumed\\), committed as`));
    assert.match(await dataset.git("log", "-1", "--format=%B"), /"assumed_tasks": "1"/);
    const known = await assume("completed", `${id}_0`);
    assert.match(known.stdout, new RegExp(`^Job ${id}_0: Complete, committed as`));
    assert.doesNotMatch(await dataset.git("log", "-1", "--format=%B"), /assumed/);
    await runTasks(id, [4], "FAILED");
    const mixed = await assume("failed", "--array-tasks", "--commit-failed-jobs", id);
    assert.match(
      mixed.stdout,
      new RegExp(`^Job ${id}_\\[2-4\\]: Failed.*, committed as \\w+; job ${id} is finished\n$`),
    );
    assert.match(await dataset.git("log", "-1", "--format=%B"), /"assumed_tasks": "2-3"/);
    assert.match(
      await dataset.succeed(["show", id]),
      /^State +Failed \(3 tasks assumed\)(?:, exit code \d)?$/m,
    );
    await checkDataset(dataset, {
      base,
      parts: { [`${id}_1`]: filesOf(id, [1]), [`${id}_0`]: filesOf(id, [0]) },
      finished: {
        [id]: {
          ...filesOf(id, [2, 4]),
          [`slurm-job-${id}.env.json`]: environmentOf(id, "FAILED"),
        },
      },
    });
  },
  "--assume-state closes a whole array of which Slurm does not know some tasks": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(
      ["-o", "out/%a", "sbatch", "--array=0-2", "array.sh", "out"],
    );
    await jobsAreOver([id]);
    const forgetful = { env: { PATH: await forgetting(dataset, id, [1]) } };
    const unknown = await dataset.tool(["finish", `${id}_[0-1]`], forgetful);
    assert.match(unknown.stdout, new RegExp(`^Job ${id}_0: Complete.*\nJob ${id}_1: Unknown`));
    const all = await dataset.tool(["finish", "--assume-state", "completed", id], forgetful);
    assert.equal(all.code, 0, all.stderr);
    assert.match(
      all.stdout,
      new RegExp(
        `^Job ${id}_\\[1-2\\]: Complete \\(assumed\\), committed as \\w+; job ${id} is finished\n$`,
      ),
    );
    assert.match(await dataset.succeed(["show", id]), /^State +Complete \(task 1 assumed\)$/m);
  },
  "which tasks are assumed is in what --json says": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule(
      ["-o", "out/%a", "sbatch", "--array=0-3", "array.sh", "out"],
    );
    await jobsAreOver([id]);
    const forgetful = { env: { PATH: await forgetting(dataset, id, [1, 3]) } };
    const assume = ["finish", "--json", "--assume-state", "completed"];
    const known = onlyOutput(
      (await dataset.tool(["finish", "--json", `${id}_0`])).stdout,
      "finished",
    );
    assert.deepEqual([known.assumed, known.assumed_tasks], [undefined, undefined]);
    const { stdout } = await dataset.tool([...assume, id], forgetful);
    const whole = onlyOutput(stdout, "finished");
    assert.deepEqual([whole.array_tasks, whole.assumed, whole.assumed_tasks], ["1-3", true, "1,3"]);
  },
  "a task is named and assumed of arrays only": async () => {
    await using dataset = await TestDataset.make();
    const plain = await dataset.schedule(["-o", "plain", "sbatch", "write.sh", "plain"]);
    // Of these nobody can know afterwards what they are.
    const forgetful = { env: { PATH: await forgetting(dataset, "[0-9]+") } };
    const other = await dataset.schedule(["-o", "other", "sbatch", "write.sh", "other"], forgetful);
    const array = await dataset.schedule(
      ["-o", "out/%a", "sbatch", "--array=0-1", "array.sh", "out"],
      forgetful,
    );
    await jobsAreOver([plain, other, array]);
    const head = await dataset.git("rev-parse", "HEAD");
    const refused = await dataset.tool(["finish", `${plain}_3`, `${other}_3`]);
    assert.match(refused.stderr, new RegExp(`Job ${plain} is no array$`, "m"));
    assert.match(refused.stderr, new RegExp(`Slurm knows no array tasks of job ${other}$`, "m"));
    assert.equal(refused.code, 1);
    assert.equal(await dataset.git("rev-parse", "HEAD"), head, "nothing was committed");

    const assume = ["finish", "--assume-state", "completed"];
    const task = await dataset.succeed([...assume, `${array}_1`], forgetful);
    assert.match(task, new RegExp(`^Job ${array}_1: Complete \\(assumed\\), committed as \\w+\n$`));
    assert.equal(await dataset.git("log", "-1", "--name-only", "--format="), "out/1");
    assert.match(await dataset.succeed(["status"]), new RegExp(` ${array} `), "it is open still");
    const whole = await dataset.succeed(
      ["finish", "--assume-state", "failed", "--commit-failed-jobs", array],
      forgetful,
    );
    assert.match(whole, new RegExp(`^Job ${array}: Failed \\(assumed\\), committed as \\w+\n$`));
    assert.match(await dataset.git("log", "-1", "--format=%s"), / job \d+: Failed$/);
  },
  "--failed-tasks submits the tasks that did not complete, and keeps the throttle": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    await dataset.write(
      "script.sh",
      "#!/bin/sh\n#SBATCH --array=0-4%2\nexec sh array.sh out $1 $2\n",
    );
    const base = await dataset.commit("Script");
    const id = await dataset.schedule(["-o", "out/%a", "sbatch script.sh 1 3"]);
    const scheduled = await dataset.git("rev-parse", "HEAD");
    await jobsAreOver([id]);
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    const again = jobIdIn(await dataset.succeed(["reschedule", "--failed-tasks", "HEAD"]));
    const record = await dataset.git("log", "-1", "--format=%B");
    assert.match(record, /"cmd": "sbatch --array=1,3%2 script\.sh 1 3"/);
    assert.match(record, new RegExp(`"chain": \\[\\s+"${scheduled}"\\s+\\]`));
    assert.match(record, /"failed_tasks": "1,3"/);
    await jobsAreOver([again]);
    // The outputs of the other tasks were not made writable for this.
    assert.equal(await dataset.git("annex", "find", "--unlocked", "out"), "out/1\nout/3");
    const log = (job: string, tasks: readonly number[]) =>
      Object.fromEntries(tasks.map((task) => [`slurm-${job}_${task}.out`, ""]));
    await dataset.succeed(["finish", "--commit-failed-jobs"]);
    await checkDataset(dataset, {
      base,
      finished: {
        [id]: {
          ...filesOf(id, [0, 1, 2, 3, 4]),
          [`slurm-job-${id}.env.json`]: environmentOf(id, "FAILED"),
        },
        [again]: {
          ...log(again, [1, 3]),
          [`slurm-job-${again}.env.json`]: environmentOf(again, "FAILED"),
        },
      },
    });
  },
  "logs that carry each task's own id are committed, and those of no other job": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("logs/collected", "before\n");
    const base = await dataset.commit("A directory for logs");
    const script = (directory: string) =>
      "--wrap=echo out $SLURM_JOB_ID; echo err $SLURM_JOB_ID >&2; " +
      `mkdir -p ${directory}; echo >${directory}/$SLURM_ARRAY_TASK_ID`;
    const own = await dataset.schedule(
      [
        "-o",
        "own/%a",
        "sbatch",
        "-o",
        "%j.out",
        "-e",
        "err-%A-%j-%4a",
        "--array=1-3",
        script("own"),
      ],
    );
    const below = await dataset.schedule(
      ["-o", "below/%a", "sbatch", "-o", "logs/%9j-%N", "--array=1,4", script("below")],
    );
    const collects = "--wrap=echo collected >logs/collected";
    const whole = await dataset.schedule(["-o", "logs", "sbatch", "-o", "all-%j-%N", collects]);
    await jobsAreOver([own, below, whole]);
    // `%N` is the host, which has another name than its nodes where it is several.
    const host = (await dataset.run(["hostname", "-s"])).stdout.trim();
    const others = ["1.out", "1234567.out", `all-1-${host}`, `all-${whole}0-n1`, "err-1-2-0001"];
    for (const name of others) await dataset.write(name, "another job's\n");

    const logsOf = async (
      id: string,
      named: (raw: string, task: number) => string,
      words: string,
    ) =>
      Object.fromEntries([...await rawIds(id, id === own ? 3 : 2)].map(([task, raw]) => [
        named(raw, task),
        words.replaceAll("ID", raw),
      ]));
    const expected = {
      [whole]: {
        "logs/collected": "collected\n",
        [`all-${whole}-${host}`]: "",
        [`slurm-job-${whole}.env.json`]: environmentOf(whole),
      },
      [own]: {
        ...await logsOf(own, (_, task) => `own/${task}`, "\n"),
        ...await logsOf(own, (raw) => `${raw}.out`, "out ID\n"),
        ...await logsOf(own, (raw, task) => `err-${own}-${raw}-000${task}`, "err ID\n"),
        [`slurm-job-${own}.env.json`]: environmentOf(own),
      },
      [below]: {
        ...await logsOf(below, (_, task) => `below/${task}`, "\n"),
        ...await logsOf(
          below,
          (raw) => `logs/${raw.padStart(9, "0")}-${host}`,
          "out ID\nerr ID\n",
        ),
        [`logs/slurm-job-${below}.env.json`]: environmentOf(below),
      },
    };
    for (const job of [whole, own, below]) await dataset.succeed(["finish", job]);
    await checkDataset(dataset, {
      base,
      finished: expected,
      status: others.map((name) => `?? ${name}`),
    });
  },
  "what tasks that never started have not written is missed by nobody": async () => {
    await using dataset = await TestDataset.make();
    const id = await dataset.schedule([
      ...[
        "-o",
        "out/%a",
        "sbatch",
        "-H",
        "--array=1-4",
        "-o",
        "/dev/null",
        "array.sh",
        "elsewhere",
      ],
    ]);
    await runTasks(id, [2]);
    await slurm("scancel", id);
    await jobsAreOver([id]);
    const { code, stderr } = await dataset.tool(["finish", "--commit-failed-jobs"]);
    assert.equal(code, 0);
    // That one ran, and wrote something else.
    assert.equal(stderr, `Warning: Job ${id}: It has not made its declared output "out/2"\n`);
  },
});
