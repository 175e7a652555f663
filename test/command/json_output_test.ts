import assert from "node:assert/strict";
import { allCommands } from "../../lib/cli/commands.ts";
import { RECORDS } from "../../lib/cli/json/records.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { onlyOutput, readOutput, type RecordName } from "../support/output_records.ts";
import { jobsAreOver, noRealSlurm, useCluster } from "../support/real_slurm.ts";

const commands = await allCommands();

useCluster();

/** What was seen of the schema, and of which commands. */
const seen = new Set<RecordName>();
const called = new Set<string>();

/** Runs a command with `--json` and returns the only object it prints. */
async function only<Name extends RecordName>(
  dataset: TestDataset,
  code: number,
  kind: Name,
  args: readonly [string, ...string[]],
  env: Record<string, string> = {},
) {
  const [command, ...rest] = args;
  const ran = await dataset.tool([command, "--json", ...rest], { env });
  assert.equal(ran.code, code, ran.stderr + ran.stdout);
  called.add(command);
  seen.add(kind);
  return onlyOutput(ran.stdout, kind);
}

/** The fields of DataLad's result records that say which dataset it is about. */
function about(dataset: TestDataset) {
  return { type: "dataset", path: dataset.root, refds: dataset.root };
}

const sbatch = ["sbatch", "write.sh", "out"] as const;

const tests: Record<string, () => Promise<void>> = {
  "a job's life in objects: planned, submitted, open, finished, planned again": async () => {
    await using dataset = await TestDataset.make();
    await dataset.write("in", "input\n");
    await dataset.commit("Input");
    const plan = await only(dataset, 0, "planned", [
      "schedule",
      "--dry-run",
      "-i",
      "in",
      "-o",
      "out",
      "sbatch write.sh {outputs}",
    ]);
    assert.deepEqual(plan, {
      action: "schedule",
      status: "ok",
      ...about(dataset),
      dry_run: true,
      cmd: "sbatch write.sh {outputs}",
      command: "sbatch write.sh out",
      pwd: ".",
      inputs: ["in"],
      outputs: ["out"],
    });
    const submitted = await only(dataset, 0, "submitted", ["schedule", "-o", "out", ...sbatch]);
    const { slurm_job_id: id, commit } = submitted;
    assert.equal(commit, await dataset.git("rev-parse", "HEAD"));
    const open = await only(dataset, 0, "openJob", ["status"]);
    assert.deepEqual([open.slurm_job_id, open.commit, open.path], [id, commit, dataset.root]);
    await jobsAreOver([id]);
    assert.deepEqual(
      (await only(dataset, 0, "openJob", ["finish", "--list-open-jobs"])).phase,
      "completed",
    );
    const finished = await only(dataset, 0, "finished", ["finish"]);
    assert.deepEqual(
      [finished.outcome, finished.status, finished.exit_code, finished.schedule_commit],
      ["finished", "ok", 0, commit],
    );
    assert.equal(finished.commit, await dataset.git("rev-parse", "HEAD"));
    const logged = await only(dataset, 0, "logged", ["log"]);
    assert.equal(logged.slurm_job_id, id);
    const shown = await only(dataset, 0, "shown", ["show", id]);
    assert.deepEqual([shown.slurm_job_id, shown.finish_commit], [id, finished.commit]);
    await only(dataset, 0, "otherChange", ["log", "in"]);
    const again = await only(dataset, 0, "planned", ["reschedule", "--report", "HEAD"]);
    assert.deepEqual([again.original_slurm_job_id, again.original_commit], [id, commit]);
    const { script } = await only(dataset, 0, "script", ["reschedule", "--script", "-", "HEAD"]);
    assert.match(script, /^#!\/bin\/sh\n/);
    const file = await only(dataset, 0, "script", ["reschedule", "--script", "again", "HEAD"]);
    assert.equal(file.path, `${dataset.root}/again`);
    assert.equal(file.script, await Deno.readTextFile(`${dataset.root}/again`));
    const second = await only(dataset, 0, "submitted", ["reschedule", "HEAD"]);
    assert.deepEqual([second.action, second.original_commit], ["reschedule", commit]);
    assert.equal(second.commit, await dataset.git("rev-parse", "HEAD"));
  },
  "jobs that are not done, and names that no job has": async () => {
    await using dataset = await TestDataset.make();
    const failed = await dataset.schedule(["-o", "half", "sbatch", "fail.sh", "half"]);
    const held = await dataset.schedule(["-o", "held", "sbatch", "-H", "write.sh", "held"]);
    const array = ["sbatch", "-H", "--array=0-2", "array.sh", "array"];
    await dataset.schedule(["-o", "array", ...array]);
    await jobsAreOver([failed]);
    const { code, stdout } = await dataset.tool(["finish", "--json", failed, held, "none"]);
    assert.equal(code, 1);
    const records = readOutput(stdout);
    for (const { kind } of records) seen.add(kind);
    assert.deepEqual(
      records.map(({ kind, record: { status } }) => [kind, status]),
      [["finished", "error"], ["finished", "notneeded"], ["notOpen", "impossible"]],
    );
    const unknown = await only(dataset, 1, "notOpen", ["status", "none"]);
    assert.equal(unknown.target, "none");
    const jobs = readOutput((await dataset.tool(["status", "--json"])).stdout);
    assert.equal(jobs.length, 3);
    // A job with notes about its files.
    const noted = await dataset.schedule(["-o", "a", "-o", "never", "sbatch", "write.sh", "a"]);
    await jobsAreOver([noted]);
    const { notes } = await only(dataset, 0, "finished", ["finish", noted]);
    assert.deepEqual(notes?.missing, ["never"]);
  },
  "what was cut short, and what nobody needs": async () => {
    await using dataset = await TestDataset.make();
    await dataset.tool(["schedule", "-o", "out", "sbatch -H write.sh out; sh kill_tool.sh"]);
    const taken = await only(dataset, 0, "takenUp", ["recover"]);
    assert.deepEqual(
      [taken.outcome, taken.status, taken.commit],
      ["recorded", "ok", await dataset.git("rev-parse", "HEAD")],
    );
    // The job's commit goes away with its branch.
    await dataset.git("reset", "-q", "--hard", "HEAD~1");
    await dataset.git("reflog", "expire", "--expire=now", "--all");
    const would = await only(dataset, 0, "released", ["recover", "--report"]);
    assert.deepEqual([would.path, would.dry_run], [`${dataset.root}/out`, true]);
    assert.equal((await only(dataset, 0, "released", ["recover"])).dry_run, undefined);
  },
  "the lock: free, and a token that holds none": async () => {
    await using dataset = await TestDataset.make();
    await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const free = await only(dataset, 0, "lock", ["unlock"]);
    assert.deepEqual([free.outcome, free.holder, free.queue], ["free", undefined, []]);
    const gone = await only(dataset, 1, "lock", ["unlock", "--force", "abc"]);
    assert.deepEqual([gone.outcome, gone.status], ["gone", "impossible"]);
  },
  "an error is an object on stdout and a message on stderr, and the exit code stays": async () => {
    await using dataset = await TestDataset.make();
    const wrong = noRealSlurm ? "--no-such-option" : "--partition=nowhere";
    const cases: [number, [string, ...string[]], string, Record<string, string>?][] = [
      [1, ["schedule", "-o", "../out", ...sbatch], "refused"],
      [2, ["schedule", ...sbatch], "usage"],
      [2, ["status", "--jsno"], "usage"],
      [3, ["schedule", "-o", "out", "sbatch", wrong, "write.sh", "out"], "external"],
      [1, ["reschedule", "HEAD"], "refused"],
      [3, ["unlock"], "external", { PATH: "/nowhere" }],
      [1, ["recover", "-d", "/"], "refused"],
      [2, ["stauts"], "usage"],
    ];
    for (const [code, args, kind, env] of cases) {
      const failure = await only(dataset, code, "failure", args, env);
      const [command, ...rest] = args;
      const action = command === "stauts" ? "datalad-slurm" : command;
      assert.deepEqual([failure.action, failure.kind, failure.exit_code], [action, kind, code]);
      assert.equal(failure.status, kind === "external" ? "error" : "impossible");
      const { stderr } = await dataset.tool([command, ...rest], { env: env ?? {} });
      assert(stderr.includes(`Error: ${failure.message}`), stderr);
      if (failure.hint !== undefined) assert(stderr.includes(`Hint: ${failure.hint}`), stderr);
    }
  },
  "doctor tells of each thing that it has looked at": async () => {
    await using dataset = await TestDataset.make();
    const { stdout } = await dataset.tool(["doctor", "--json"]);
    const kinds = readOutput(stdout).map(({ kind }) => kind);
    assert(kinds.length > 10 && kinds.every((kind) => kind === "check"), stdout);
    called.add("doctor");
    seen.add("check");
  },
  "the executable tells its schema": async () => {
    await using dataset = await TestDataset.make();
    const schema = JSON.parse(await dataset.succeed(["schema"]));
    const file = new URL("../../lib/cli/json/output.schema.json", import.meta.url);
    assert.deepEqual(schema, JSON.parse(await Deno.readTextFile(file)));
    called.add("schema");
  },
};

const finished = new Set<string>();

concurrently(
  false,
  Object.fromEntries(
    Object.entries(tests).map(([name, test]) => [name, async () => {
      await test();
      finished.add(name);
    }]),
  ),
);

Deno.test({
  name: "every kind of object was seen, and every command was called",
  fn() {
    // With a filter not all tests have run.
    if (finished.size < Object.keys(tests).length) return;
    const kinds = Object.keys(RECORDS).filter((name) => !seen.has(name as RecordName));
    // What `reschedule --since` passes over is held to the schema in reschedule_test.ts.
    assert.deepEqual(kinds, ["passedOver"]);
    const names = commands.filter(({ hidden }) => hidden !== true).map(({ name }) => name)
      // It prints a script for a shell.
      .filter((name) => name !== "completion");
    assert.deepEqual(names.filter((name) => !called.has(name)), []);
  },
});
