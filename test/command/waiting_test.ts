import assert from "node:assert/strict";
import { checkDataset, logs, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { letGo, TestDataset } from "../support/dataset.ts";
import { readOutput } from "../support/output_records.ts";
import { jobIs, slurm, until, useCluster } from "../support/real_slurm.ts";
import { Working } from "../support/working.ts";

useCluster();

concurrently(false, {
  "finish --wait commits each job as it ends, and ends with the last": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const pipe = await dataset.pipe("pipe");
    const quick = await dataset.schedule(["-o", "a", "sbatch", "write.sh", "a"]);
    const slow = await dataset.schedule(["-o", "b", "sbatch", "wait.sh", pipe, "b"]);
    const failing = await dataset.schedule(["-o", "c", "sbatch", "fail.sh", "c"]);
    await jobIs(slow, "RUNNING");
    await using waiting = new Working(dataset, ["finish", "--wait", quick, slow]);
    await until("the quick job is committed", () => waiting.stdout.includes(`Job ${quick}: Comp`));
    // While it waits, nothing is held that others need.
    const held = await dataset.schedule(["-o", "d", "sbatch", "-H", "write.sh", "d"]);
    await dataset.succeed(["finish", "--close-failed-jobs", failing]);
    await letGo(pipe);
    assert.equal(await waiting.code(), 0);
    assert.match(waiting.stdout, new RegExp(`^Job ${quick}: .*\nJob ${slow}: Complete, .*\n$`));
    assert.equal(waiting.stderr, "");
    await checkDataset(dataset, {
      base,
      open: [held],
      finished: {
        [quick]: written(quick, ["a"]),
        [slow]: {
          b: "go\n",
          ...logs(slow),
        },
        [failing]: {},
      },
      status: ["?? c", `?? slurm-${failing}.out`],
    });
  },
  "finish --wait --array-tasks commits the tasks of an array as they end": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule([
      ...["-o", "out/%a", "sbatch", "-H", "--array=1-2", "array.sh", "out", "2"],
    ]);
    await using waiting = new Working(dataset, ["finish", "--wait", "--array-tasks"]);
    await slurm("scontrol", "release", `${id}_1`);
    await until("the first task is committed", () => waiting.stdout.includes(`Job ${id}_1: Comp`));
    await slurm("scontrol", "release", `${id}_2`);
    assert.equal(await waiting.code(), 1);
    assert.match(
      waiting.stdout,
      new RegExp(`^Job ${id}_1: .*\nJob ${id}_2: Failed(?: \\(exit code 4\\))?, left open\n$`),
    );
    await checkDataset(dataset, {
      base,
      open: [id],
      parts: { [`${id}_1`]: { "out/1": "task 1\n", [`slurm-${id}_1.out`]: "" } },
      status: ["?? out/2", `?? slurm-${id}_2.out`],
    });
  },
  "each look while waiting is one question about all jobs": async () => {
    await using dataset = await TestDataset.make();
    const pipe = await dataset.pipe("pipe");
    const ids: string[] = [];
    for (const name of ["a", "b"]) {
      ids.push(await dataset.schedule(["-o", name, "sbatch", "wait.sh", pipe, name]));
    }
    for (const id of ids) await jobIs(id, "RUNNING");
    const log = `${dataset.scratch.directory}/calls`;
    const counting: Record<string, string> = {};
    for (const name of ["sacct", "squeue", "scontrol"]) {
      const real = (await dataset.run(["which", name])).stdout.trim();
      counting[name] = `echo "${name} $*" >>${log}\nexec ${real} "$@"`;
    }
    const env = { PATH: await dataset.pathWith(counting) };
    for (
      const [command, code] of [[["finish", "--wait"], 8], [["status", "--watch"], 8]] as const
    ) {
      await Deno.writeTextFile(log, "");
      assert.equal((await dataset.tool([...command, "--timeout=5s"], { env })).code, code);
      const calls = (await Deno.readTextFile(log)).trim().split("\n");
      for (const call of calls) assert.ok(call.endsWith(`=${ids.join(",")}`), call);
      const looks = calls.filter((call) => call.startsWith("sacct") && !call.includes("MaxRSS"));
      // One at once, and the next ones with longer and longer pauses.
      assert.ok(looks.length >= 2 && looks.length <= 6, calls.join("\n"));
      const squeues = calls.filter((call) => call.startsWith("squeue"));
      assert.equal(squeues.length, looks.length, calls.join("\n"));
      assert.ok(calls.length <= 2 * looks.length + 1, calls.join("\n"));
    }
  },
  "the time for --wait and --watch is over": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]);
    const [finish, status] = await Promise.all([
      dataset.tool(["finish", "--wait", "--timeout", "1s"]),
      dataset.tool(["status", "--watch", "--timeout", "1s"]),
    ]);
    assert.equal(finish.stdout, `Job ${id}: Pending (JobHeldUser), left open\n`);
    assert.equal(status.stdout, `Job ${id}: Pending (JobHeldUser)\n`);
    assert.deepEqual([finish.code, status.code], [8, 8]);
    await checkDataset(dataset, { base, open: [id] });
  },
  "Ctrl-C ends waiting at once, and nothing is lost": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]);
    const done = await dataset.schedule(["-o", "b", "sbatch", "write.sh", "b"]);
    await using waiting = new Working(dataset, ["finish", "--wait"]);
    await until("it waits", () => waiting.stdout.includes(`Job ${done}: Complete`));
    waiting.kill("SIGINT");
    assert.equal(await waiting.code(), 130);
    assert.match(waiting.stderr, /Interrupted by SIGINT/);
    await checkDataset(dataset, {
      base,
      open: [id],
      finished: { [done]: written(done, ["b"]) },
    });
  },
  "--watch tells of each change, also of jobs that others finish, and ends by itself": async () => {
    await using dataset = await TestDataset.make();
    const pipe = await dataset.pipe("pipe");
    const id = await dataset.schedule(["-o", "a", "sbatch", "-H", "wait.sh", pipe, "a"]);
    await using watching = new Working(dataset, ["status", "--json", "--watch=1"]);
    const states = () =>
      readOutput(watching.stdout.replace(/[^\n]*$/, "")).map(({ record }) =>
        "state" in record ? record.state : record
      );
    await until("it is held", () => states().length === 1);
    await slurm("scontrol", "release", id);
    await until("it runs", () => states().at(-1) === "RUNNING");
    await letGo(pipe);
    assert.equal(await watching.code(), 0);
    const seen = states();
    assert.equal(seen.at(-1), "COMPLETED");
    assert.deepEqual(seen.filter((state, at) => state === seen[at - 1] && state !== "PENDING"), []);
  },
  "nobody waits for the job that the command runs in, nor counts it, unless it is named":
    async () => {
      await using dataset = await TestDataset.make();
      const own = await dataset.schedule(["-o", "own", "sbatch", "-H", "write.sh", "own"]);
      const env = { SLURM_JOB_ID: own };
      const done = await dataset.schedule(["-o", "a", "sbatch", "write.sh", "a"]);
      const committed = await dataset.succeed(["finish", "--wait"], { env });
      assert.match(committed, new RegExp(`^Job ${done}: Complete, .*\n$`));
      const { code, stdout } = await dataset.tool(["finish", "--wait", own], { env });
      assert.deepEqual([code, stdout.startsWith(`Job ${own}: Pending`)], [8, true]);
      assert.match((await dataset.tool(["status", "--watch"], { env })).stdout, new RegExp(own));
    },
  "nobody waits for a job that can never start": async () => {
    await using dataset = await TestDataset.make();
    const failed = await dataset.schedule(["-o", "a", "sbatch", "fail.sh", "a"]);
    const never = await dataset.schedule(
      ["-o", "b", "sbatch", `--dependency=afterok:${failed}`, "write.sh", "b"],
    );
    const { stdout, stderr } = await dataset.tool(["status", "--watch"]);
    assert.match(stdout, new RegExp(`Job ${never}: .*DependencyNeverSatisfied`));
    assert.match(stderr, new RegExp(`scancel ${never}`));
  },
  "a job that is not in the history any more is not taken for finished": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("branch", "other");
    const id = await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]);
    const gone = await dataset.schedule(["-o", "b", "sbatch", "-H", "write.sh", "b"]);
    await using waiting = new Working(dataset, ["finish", "--wait", "--verbose", id, gone]);
    await until("Slurm is asked", () => /sacct/.test(waiting.stderr));
    await dataset.git("checkout", "-q", "other");
    assert.equal(await waiting.code(), 1);
    assert.match(
      waiting.stdout,
      new RegExp(`^Job ${id}: its schedule commit was taken off the branch`, "m"),
    );
    await dataset.git("checkout", "-q", "main");
    assert.match(await dataset.succeed(["status"]), new RegExp(id));
  },
  "options that make no sense together are refused": async () => {
    await using dataset = await TestDataset.make();
    for (
      const [args, what] of [
        [["finish", "--timeout", "5"], /--timeout is about --wait/],
        [["status", "--timeout", "5"], /--timeout is about --watch/],
        [["finish", "--wait", "--timeout", "soon"], /takes a time, not "soon"/],
        [["finish", "--wait", "--octopus"], /--octopus makes one commit/],
        [["status", "--watch=0"], /--watch takes seconds/],
      ] as const
    ) {
      const { code, stderr } = await dataset.tool(args);
      assert.match(stderr, what);
      assert.equal(code, 2);
    }
  },
});
