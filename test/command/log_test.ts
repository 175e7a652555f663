import assert from "node:assert/strict";
import type { LoggedRecord } from "../../lib/cli/json/records.ts";
import { concurrently } from "../support/concurrently.ts";
import { jobIdIn, TestDataset } from "../support/dataset.ts";
import { readOutput } from "../support/output_records.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Runs a job to its end and finishes it; returns its id. */
async function runJob(dataset: TestDataset, outputs: string, script: string): Promise<string> {
  const id = await dataset.schedule(["-o", outputs, "sbatch", `--wrap=${script}`]);
  await jobsAreOver([id]);
  await dataset.succeed(["finish", id]);
  return id;
}

/** Submits the job of HEAD again and finishes it; returns the new id. */
async function runAgain(dataset: TestDataset, commit: string): Promise<string> {
  const id = jobIdIn(await dataset.succeed(["reschedule", commit]));
  await jobsAreOver([id]);
  await dataset.succeed(["finish", id]);
  return id;
}

/** Returns what `log` shows, as `job state from` of each line. */
async function logged(dataset: TestDataset, ...args: string[]): Promise<string[]> {
  return readOutput(await dataset.succeed(["log", "--json", ...args])).map(({ kind, record }) => {
    if (kind !== "logged") return kind;
    const { slurm_job_id, open, original_slurm_job_id: from, changed } = record as LoggedRecord;
    return [
      slurm_job_id,
      ...(open ? ["open"] : []),
      ...(from === undefined ? [] : [`from ${from}`]),
      ...(changed === false ? ["unchanged"] : []),
    ].join(" ");
  });
}

concurrently(false, {
  "log shows each job once, the newest first, and what it descends from": async () => {
    await using dataset = await TestDataset.make();
    const first = await runJob(dataset, "out", "mkdir -p out; date +%N >out/a; echo b >out/b");
    const start = await dataset.git("rev-parse", "HEAD");
    const second = await runAgain(dataset, "HEAD");
    const open = await dataset.schedule(["-o", "o[p]en", "-m", "Words", "sbatch -H write.sh"]);
    assert.deepEqual(await logged(dataset), [
      `${open} open`,
      `${second} from ${first}`,
      first,
    ]);
    assert.deepEqual(await logged(dataset, "-n2"), [`${open} open`, `${second} from ${first}`]);
    assert.deepEqual(await logged(dataset, "--since", start, "-n", "9"), [
      `${open} open`,
      `${second} from ${first}`,
    ]);
    assert.deepEqual(await logged(dataset, `${start}^..${start}`), [first]);
    assert.deepEqual(await logged(dataset, start), [first]);
    assert.deepEqual(await logged(dataset, first), [`${second} from ${first}`, first]);
    const table = (await dataset.succeed(["log"])).split("\n");
    assert.match(table[0] ?? "", /^COMMIT +JOB +STATE +WHEN +ELAPSED +FROM +OUTPUTS +COMMAND$/);
    assert.match(table[1] ?? "", new RegExp(`^\\w{10}  ${open} +Open .* o\\[p\\]en +sbatch -H`));
    assert.match(table[2] ?? "", new RegExp(`^\\w{10}  ${second} +Complete .* ${first} +out +sb`));
    assert.equal(table.length, 5);
    const unknown = await dataset.tool(["log", "999999"]);
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /No job 999999 is recorded in this dataset\nHint: See the recorded jobs with: datalad-slurm log/,
    );
    const both = await dataset.tool(["log", "write.sh", "main"]);
    assert.equal(both.code, 0);
    await dataset.write("main", "a file named like the branch\n");
    assert.match((await dataset.tool(["log", "main"])).stderr, /"main" names a file and a commit/);
  },
  "log PATH shows which job made a file": async () => {
    await using dataset = await TestDataset.make();
    const first = await runJob(dataset, "out", "mkdir -p out; date +%N >out/a; echo b >out/b");
    const second = await runAgain(dataset, "HEAD");
    const other = await runJob(dataset, "x/y", "mkdir -p x; echo $SLURM_JOB_ID >x/y");
    assert.deepEqual(await logged(dataset, "out/a"), [`${second} from ${first}`, first]);
    assert.deepEqual(await logged(dataset, "out/b"), [
      `${second} from ${first} unchanged`,
      first,
    ]);
    assert.deepEqual(await logged(dataset, "out"), [`${second} from ${first}`, first]);
    assert.deepEqual(await logged(dataset, "out/*"), [`${second} from ${first}`, first]);
    assert.deepEqual(await logged(dataset, "**/y"), [other]);
    assert.deepEqual(await logged(dataset, `slurm-${other}.out`), [other]);
    assert.deepEqual(await logged(dataset, "write.sh"), ["otherChange"]);
    await dataset.write("made-by-hand", "untracked\n");
    assert.deepEqual(await logged(dataset, "made-by-hand"), []);
    const mistyped = await dataset.tool(["log", "out/nothing"]);
    assert.equal(mistyped.code, 1);
    assert.match(mistyped.stderr, /There is no path "out\/nothing", here or in history/);
    await dataset.write("out/b", "mine\n");
    await dataset.commit("My own");
    assert.deepEqual(await logged(dataset, "out/b"), [
      "otherChange",
      `${second} from ${first} unchanged`,
      first,
    ]);
    const { stderr } = await dataset.tool(["log", "out/b"]);
    assert.match(stderr, /Last changed by commit \w{10}, which is no job's: My own/);
    await dataset.git("rm", "-q", "x/y");
    await dataset.commit("Gone");
    assert.deepEqual(await logged(dataset, "x/y"), ["otherChange", other]);
  },
  "where branches meet, a finished job is not open": async () => {
    await using dataset = await TestDataset.make();
    const ids: string[] = [];
    for (const name of ["a", "b"]) {
      ids.push(await dataset.schedule(["-o", name, "sbatch", "write.sh", name]));
    }
    const open = await dataset.schedule(["-o", "c", "sbatch", "-H", "write.sh", "c"]);
    await jobsAreOver(ids);
    await dataset.tool(["finish", "--octopus", ...ids]);
    assert.deepEqual((await logged(dataset)).toSorted(), [...ids, `${open} open`].toSorted());
  },
  "log PATH looks into the subdataset that holds the file": async () => {
    await using dataset = await TestDataset.make();
    const sub = dataset.at(`${dataset.root}/sub`);
    await Deno.mkdir(sub.root);
    await sub.git("init", "-q");
    await sub.write("there", "before\n");
    await sub.commit("Begin");
    await dataset.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", "./sub", "sub");
    await dataset.commit("Subdataset");
    const id = await runJob(dataset, "sub/new", "echo new >sub/new");
    assert.deepEqual(await logged(dataset, "sub/new"), [id]);
    assert.deepEqual(await logged(dataset, "sub"), [id]);
    assert.deepEqual(await logged(dataset, "sub/there"), ["otherChange"]);
    await dataset.git("tag", "v1");
    const next = await runJob(dataset, "sub/next", "echo next >sub/next");
    const begin = await dataset.git("rev-list", "--max-parents=0", "HEAD");
    const all = ["sub/new", "sub/next"];
    assert.deepEqual(await logged(dataset, ...all), [next, id]);
    assert.deepEqual(await logged(dataset, "--since", "v1", ...all), [next]);
    assert.deepEqual(await logged(dataset, "--since", begin, ...all), [next, id]);
    assert.deepEqual(await logged(dataset, "v1..HEAD", ...all), [next]);
    assert.deepEqual(await logged(dataset, "v1", ...all), [id]);
    const none = await dataset.tool(["log", begin, "sub/new"]);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /^Error: The commits named have no subdataset "sub"$/m);
    await dataset.git("update-index", "--cacheinfo", `160000,${begin},sub`);
    await dataset.git("commit", "-q", "-m", "A commit that is not there");
    assert.match(
      (await dataset.tool(["log", "HEAD", "sub/new"])).stderr,
      /^Error: Commit \w{10} has the subdataset "sub" at commit \w{10}, .* not here\nHint: .*fetch$/m,
    );
  },
});
