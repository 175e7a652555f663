/**
 * Measures the executable against the least that the same work can cost, and prints one table.
 *
 * Parameters, as environment variables: `DATALAD_SLURM_EXECUTABLE` (dist/datalad-slurm),
 * `BENCH_ROUNDS` (9; a third of it for what takes seconds), `BENCH_OPEN_JOBS` (2000), `BENCH_FILES`
 * (1000000), `BENCH_JOBS` (500 jobs to finish), `BENCH_BATCH` (500 jobs to schedule at once),
 * `BENCH_COMMITS` (100000 in the history to log), `BENCH_TASKS` (20000 of one array). The
 * Slurm cluster is that of `SLURM_CONF`, where it is set, or one that is started for the bench. A
 * budget that is missed is marked, no more.
 */
import { ToolError } from "../../lib/errors.ts";
import { runFlags } from "../../lib/executable/flags.ts";
import { text } from "../../lib/process/run.ts";
import { acquireCluster } from "../cluster/cluster.ts";
import {
  copyDataset,
  countCommits,
  createDataset,
  createLargeDataset,
  type RecordedBenchJob,
  recordJobs,
  removeTree,
  writeAccounts,
  writeResults,
} from "./datasets.ts";
import { type Contender, measure, type Measured, start } from "./measure.ts";
import { BenchJobs } from "./slurm_jobs.ts";
import { type Row, tableLines } from "./table.ts";

/** What all parts of the bench share. */
interface Bench {
  readonly executable: string;
  /** A directory for the bench alone. */
  readonly dir: string;
  readonly jobs: BenchJobs;
  readonly rounds: number;
  /** Rounds of what takes seconds. */
  readonly fewRounds: number;
  readonly openJobs: number;
  readonly files: number;
  readonly jobsToFinish: number;
  readonly batch: number;
  readonly commits: number;
  readonly tasks: number;
}

const root = new URL("../../", import.meta.url).pathname;

/** What is kept of the caller's environment; nothing else reaches what is measured. */
const KEPT = ["PATH", "TMPDIR", "SLURM_CONF", "CLUSTER_DIR"];

async function main(cleanup: AsyncDisposableStack): Promise<void> {
  const executable = absolute(Deno.env.get("DATALAD_SLURM_EXECUTABLE") || "dist/datalad-slurm");
  const rounds = parameter("BENCH_ROUNDS", 9);
  const sizes = {
    rounds,
    fewRounds: Math.ceil(rounds / 3),
    openJobs: parameter("BENCH_OPEN_JOBS", 2000),
    files: parameter("BENCH_FILES", 1_000_000),
    jobsToFinish: parameter("BENCH_JOBS", 500),
    batch: parameter("BENCH_BATCH", 500),
    commits: parameter("BENCH_COMMITS", 100_000),
    tasks: parameter("BENCH_TASKS", 20_000),
  };
  const dir = await Deno.makeTempDir({ prefix: "datalad-slurm-bench-" });
  cleanup.defer(() => removeTree(dir));
  await clearEnvironment(dir);
  if (!Deno.env.get("SLURM_CONF")) {
    progress("starting a Slurm cluster");
    const cluster = await acquireCluster();
    cleanup.defer(() => cluster.release());
    Deno.env.set("SLURM_CONF", cluster.env.SLURM_CONF);
  }
  const jobs = new BenchJobs();
  cleanup.defer(() => jobs.cancel());
  const bench: Bench = { ...sizes, executable, dir, jobs };
  for (const line of await describe(bench)) console.log(line);

  const started = performance.now();
  const rows = [
    ...await startRows(bench),
    ...await finishRows(bench),
    ...await scheduleAndStatusRows(bench),
    ...await batchRows(bench),
    ...await arrayRows(bench),
    ...await logRows(bench),
  ];
  console.log("");
  for (const line of tableLines(rows)) console.log(line);
  console.log("");
  for (const line of NOTES) console.log(line);
  console.log(`Took ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

const NOTES = [
  "Medians of commands run in turns; RSS is that of the largest process.",
  "Bare: the runtime with an empty script, sbatch, git commit-tree and git update-ref.",
  "Added are the same three files a job that a finish commit holds: output, log, accounting.",
];

async function clearEnvironment(dir: string): Promise<void> {
  for (const name of Object.keys(Deno.env.toObject())) {
    if (!KEPT.includes(name)) Deno.env.delete(name);
  }
  await Deno.mkdir(`${dir}/home`);
  await Deno.writeTextFile(
    `${dir}/home/.gitconfig`,
    "[user]\n\tname = Bench\n\temail = bench@example.org\n[gc]\n\tauto = 0\n",
  );
  Deno.env.set("HOME", `${dir}/home`);
  Deno.env.set("LC_ALL", "C.UTF-8");
}

async function describe(bench: Bench): Promise<string[]> {
  const line = async (...argv: string[]) => text((await start(argv)).stdout).split("\n")[0] ?? "";
  return [
    await line(bench.executable, "--version"),
    `${await line("git", "--version")}; ${await line("git", "annex", "version")}; ` +
    `${await line("sbatch", "--version")}; ${navigator.hardwareConcurrency} processors, ` +
    `load ${Deno.loadavg()[0]?.toFixed(2)}`,
    `${bench.rounds} rounds, ${bench.fewRounds} of what takes seconds`,
  ];
}

/** What a command costs that does nothing. */
async function startRows(bench: Bench): Promise<Row[]> {
  progress("start");
  const bare = await bareRuntime(bench);
  const tool = (name: string, words: string[]): Contender => ({
    name,
    async run(start) {
      // Without a command it shows its help and says that this is no use of it.
      await start([bench.executable, ...words], { tolerate: [2] });
    },
  });
  const [reference, version, empty] = await measure([
    { name: "bare runtime", run: async (start) => void await start(bare, bareOptions) },
    tool("datalad-slurm --version", ["--version"]),
    tool("datalad-slurm without a command", []),
  ], bench.rounds * 2) as [Measured, Measured, Measured];
  return [{ subject: version, reference }, { subject: empty, reference }];
}

/** The runtime that the executable carries, started in the same way on an empty script. */
async function bareRuntime(bench: Bench): Promise<string[]> {
  const script = `${bench.dir}/empty.js`;
  await Deno.writeTextFile(script, "");
  return [Deno.execPath(), "run", ...runFlags, script];
}

const bareOptions = { env: { DENO_DIR: "/dev/null/deno", DENO_NO_UPDATE_CHECK: "1" } };

/** What it costs to finish one job and many, with an annex and without, in a large dataset too. */
async function finishRows(bench: Bench): Promise<Row[]> {
  const { jobsToFinish, fewRounds, rounds } = bench;
  progress(`submitting ${jobsToFinish} jobs to finish`);
  const jobs = (await bench.jobs.submitAndWait(jobsToFinish)).map(recordedJob);
  const rows: Row[] = [];
  for (const annex of [false, true]) {
    const kind = annex ? "with an annex" : "without an annex";
    const add = annex ? "git annex add --batch" : "git add";
    for (const count of [1, jobsToFinish]) {
      const counted = `${number(count)} ${count === 1 ? "job" : "jobs"}`;
      progress(`finish of ${counted} ${kind}`);
      const template = `${bench.dir}/template`;
      await createDataset(template, annex);
      const measured = await measureFinish(bench, template, jobs.slice(0, count), {
        subject: `finish of ${counted} ${kind}`,
        reference: `${add} of their files`,
        annex,
        rounds: count === 1 ? rounds : fewRounds,
      });
      rows.push({
        ...measured,
        ...(count === 1
          ? {}
          : { budget: annex ? { ratio: 2 } : { jobs: count, millisecondsAJob: 5 } }),
      });
      await removeTree(template);
    }
  }
  progress(`finish of 1 job among ${number(bench.files)} files`);
  const large = `${bench.dir}/large`;
  await createLargeDataset(large, bench.files);
  rows.push(
    await measureFinish(bench, large, jobs.slice(0, 1), {
      subject: `finish of 1 job among ${number(bench.files)} files`,
      reference: "git add of its files",
      annex: false,
      rounds: fewRounds,
    }),
  );
  await removeTree(large);
  return rows;
}

interface FinishMeasurement {
  readonly subject: string;
  readonly reference: string;
  readonly annex: boolean;
  readonly rounds: number;
}

/** Measures in copies of a dataset, so that each round finds the jobs open. */
async function measureFinish(
  bench: Bench,
  template: string,
  jobs: readonly RecordedBenchJob[],
  { subject, reference, annex, rounds }: FinishMeasurement,
): Promise<Row> {
  await writeResults(template, jobs);
  await recordJobs(template, jobs);
  const wanted = await countCommits(template) + jobs.length;
  const copy = `${bench.dir}/copy`;
  const twin = `${bench.dir}/twin`;
  const files = jobs.flatMap(({ output, log }) => [output, log]);
  const [measuredReference, measuredSubject] = await measure([
    {
      name: reference,
      async prepare() {
        await copyDataset(template, twin);
        files.splice(2 * jobs.length, Infinity, ...await writeAccounts(twin, jobs));
      },
      async run(start) {
        const argv = annex
          ? ["git", "annex", "add", "--batch", "--json"]
          : ["git", "add", "--pathspec-from-file=-"];
        await start(argv, { cwd: twin, stdin: `${files.join("\n")}\n` });
      },
    },
    {
      name: subject,
      prepare: () => copyDataset(template, copy),
      async run(start) {
        await start([bench.executable, "finish"], { cwd: copy });
      },
    },
  ], rounds) as [Measured, Measured];
  if (await countCommits(copy) !== wanted) {
    throw new ToolError("external", `Not all was done: ${subject}`);
  }
  await removeTree(copy);
  await removeTree(twin);
  return { subject: measuredSubject, reference: measuredReference };
}

/** What scheduling costs, whatever the dataset already holds, and what the status of many costs. */
async function scheduleAndStatusRows(bench: Bench): Promise<Row[]> {
  const { dir, files, openJobs } = bench;
  progress(`submitting ${openJobs} jobs that stay open`);
  const open = (await bench.jobs.submitHeld(openJobs)).map(recordedJob);
  progress(`a dataset of ${files} files`);
  const small = `${dir}/small`;
  const large = `${dir}/large`;
  await createDataset(small);
  await createLargeDataset(large, files);
  const twin = `${dir}/twin`;
  await copyDataset(small, twin);
  const [smallBusy, largeBusy] = [`${dir}/small-busy`, `${dir}/large-busy`];
  await copyDataset(small, smallBusy);
  await copyDataset(large, largeBusy);
  for (const dataset of [smallBusy, largeBusy]) await recordJobs(dataset, open);

  progress("schedule");
  const [reference, first, ...others] = await measure([
    await bareSchedule(bench, twin),
    scheduling(bench, small, "schedule: 0 open jobs, 10 files"),
    scheduling(bench, smallBusy, `schedule: ${number(openJobs)} open jobs, 10 files`),
    scheduling(bench, large, `schedule: 0 open jobs, ${number(files)} files`),
    scheduling(bench, largeBusy, `schedule: ${number(openJobs)} open jobs, ${number(files)} files`),
  ], bench.rounds) as [Measured, Measured, ...Measured[]];
  const flat = others.map((subject) => ({
    subject,
    reference: first,
    budget: { ratio: 1.2 },
  }));

  progress("status");
  return [
    ...[first, ...others].map((subject) => ({ subject, reference, budget: { ratio: 2.5 } })),
    ...flat,
    ...await statusRows(bench, smallBusy, open),
  ];
}

function scheduling(bench: Bench, dataset: string, name: string): Contender {
  let count = 0;
  return {
    name,
    async run(start) {
      const output = `results/${count++}`;
      await start([bench.executable, "schedule", "-o", output, ...bench.jobs.held()], {
        cwd: dataset,
      });
    },
  };
}

async function bareSchedule(bench: Bench, dataset: string): Promise<Contender> {
  const bare = await bareRuntime(bench);
  return {
    name: "bare",
    async run(start) {
      await start(bare, bareOptions);
      await start(bench.jobs.held(), { cwd: dataset });
      const commit = text(
        (await start(["git", "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Scheduled"], {
          cwd: dataset,
        })).stdout,
      ).trim();
      await start(["git", "update-ref", "HEAD", commit], { cwd: dataset });
    },
  };
}

async function statusRows(
  bench: Bench,
  dataset: string,
  open: readonly RecordedBenchJob[],
): Promise<Row[]> {
  const bare = await bareRuntime(bench);
  const ids = open.map(({ jobId }) => jobId).join(",");
  const status = (name: string, prepare: () => Promise<void>): Contender => ({
    name,
    prepare,
    async run(start) {
      // Exit code 8: nothing wrong, but jobs are pending.
      const { stdout } = await start([bench.executable, "status"], {
        cwd: dataset,
        tolerate: [8],
      });
      if (text(stdout).split("\n").length < open.length) {
        throw new ToolError("external", "The status does not show all open jobs");
      }
    },
  });
  const counted = `status of ${number(open.length)} open jobs`;
  const [reference, known, anew, runtime, completion] = await measure([
    {
      name: "bare runtime, sacct and squeue",
      async run(start) {
        await start(bare, bareOptions);
        await start(["sacct", "-X", "-n", "-P", "-o", "JobID,State", "-j", ids]);
        await start(["squeue", "-h", "-o", "%i %T", "-j", ids]);
      },
    },
    status(counted, () => Promise.resolve()),
    status(
      `${counted}, history read anew`,
      () => removeTree(`${dataset}/.git/datalad-slurm/open-jobs`),
    ),
    { name: "bare runtime", run: async (start) => void await start(bare, bareOptions) },
    {
      name: `completion of ${number(open.length)} open jobs`,
      async run(start) {
        await start([bench.executable, "complete", "jobs"], { cwd: dataset });
      },
    },
  ], bench.rounds) as [Measured, Measured, Measured, Measured, Measured];
  return [
    { subject: known, reference },
    { subject: anew, reference },
    { subject: completion, reference: runtime },
  ];
}

/** What a batch costs against a loop that records nothing. */
async function batchRows(bench: Bench): Promise<Row[]> {
  const { batch, dir, executable, jobs } = bench;
  progress(`scheduling ${batch} jobs at once`);
  const dataset = `${dir}/batch`;
  await createDataset(dataset);
  let round = 0;
  const scheduling = (name: string, words: readonly string[]): Contender => ({
    name,
    async run(start) {
      round++;
      const names = Array.from({ length: batch }, (_, index) => `${round}-${index}`);
      await start([executable, "schedule", ...words, "--batch=-", "-o", "{name}", ...jobs.held()], {
        cwd: dataset,
        stdin: `name\n${names.join("\n")}\n`,
      });
    },
  });
  const loop = 'i=$1; shift; while [ "$i" -gt 0 ]; do "$@" || exit; i=$((i - 1)); done';
  const [reference, one, four] = await measure([
    {
      name: `a loop of ${number(batch)} sbatch`,
      async run(start) {
        await start(["sh", "-c", loop, "sh", `${batch}`, ...jobs.held()], { cwd: dataset });
      },
    },
    scheduling(`schedule --batch of ${number(batch)} jobs, -j 1`, ["-j1"]),
    scheduling(`schedule --batch of ${number(batch)} jobs`, []),
  ], bench.fewRounds) as [Measured, Measured, Measured];
  return [one, four].map((subject) => ({ subject, reference, budget: { ratio: 2 } }));
}

/** What the tasks of an array cost, of which a sacct tells that does nothing else. */
async function arrayRows(bench: Bench): Promise<Row[]> {
  const { dir, executable, fewRounds, tasks } = bench;
  progress(`an array of ${tasks} tasks`);
  const dataset = `${dir}/array`;
  await createDataset(dataset);
  await recordJobs(dataset, [recordedJob("5")]);
  const programs = `${dir}/array-programs`;
  await Deno.mkdir(programs);
  await Deno.writeTextFile(`${programs}/sacct`, sacctOfTasks(), { mode: 0o755 });
  await Deno.writeTextFile(`${programs}/squeue`, "#!/bin/sh\n", { mode: 0o755 });
  const status = (name: string, count: number): Contender => ({
    name,
    async run(start) {
      const { stdout } = await start([executable, "status", "--json"], {
        cwd: dataset,
        env: { PATH: `${programs}:${Deno.env.get("PATH")}`, TASKS: `${count}` },
      });
      const shown = [...text(stdout).matchAll(/"count": ?(\d+)/g)]
        .reduce((sum, [, tasks]) => sum + Number(tasks), 0);
      if (shown !== count) throw new ToolError("external", "The status does not show all tasks");
    },
  });
  const [reference, subject] = await measure([
    status("status of an array of 1 task", 1),
    status(`status of an array of ${number(tasks)} tasks`, tasks),
  ], fewRounds) as [Measured, Measured];
  return [{ subject, reference, budget: { memoryRatio: 2 } }];
}

/** Returns a sacct that answers the state query of an array submitted now; every hundredth task has failed. */
const sacctOfTasks = () =>
  `#!/bin/sh
exec awk -v tasks="$TASKS" 'BEGIN {
  OFS = "\\037"
  now = ${Math.floor(Date.now() / 1000)}
  for (task = 0; task < tasks; task++) {
    state = task % 100 == 99 ? "FAILED" : "COMPLETED"
    print "5_" task, 100 + task, state, (state == "FAILED" ? "3:0" : "0:0"), now, now + int(task / 9), now + 60 + int(task / 7), "None"
  }
}'
`;

/** How long it takes until a long history shows its first jobs. */
async function logRows(bench: Bench): Promise<Row[]> {
  const { commits, dir, executable, rounds } = bench;
  progress(`a history of ${commits} commits`);
  const dataset = `${dir}/history`;
  await createDataset(dataset);
  await recordJobs(
    dataset,
    Array.from({ length: commits }, (_, index) => recordedJob(`${index + 1}`)),
  );
  const bare = await bareRuntime(bench);
  const [reference, subject] = await measure([
    {
      name: "bare runtime and git log -n 20",
      async run(start) {
        await start(bare, bareOptions);
        await start(["git", "log", "-n20"], { cwd: dataset });
      },
    },
    {
      name: `log -n 20 of ${number(commits)} commits`,
      async run(start) {
        const { stdout } = await start([executable, "log", "-n20"], { cwd: dataset });
        if (text(stdout).split("\n").length < 21) {
          throw new ToolError("external", "The log does not show the jobs");
        }
      },
    },
  ], rounds) as [Measured, Measured];
  return [{ subject, reference }];
}

function recordedJob(jobId: string): RecordedBenchJob {
  return { jobId, output: `jobs/${jobId}/result`, log: `jobs/${jobId}/slurm.out` };
}

function parameter(name: string, normal: number): number {
  const value = Number(Deno.env.get(name) || normal);
  if (Number.isInteger(value) && value > 0) return value;
  throw new ToolError("usage", `${name} is not a positive integer`);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${root}${path}`;
}

function number(value: number): string {
  return value.toLocaleString("en");
}

/** To stderr: stdout is for the table. */
function progress(what: string): void {
  console.error(`… ${what}`);
}

if (import.meta.main) {
  const cleanup = new AsyncDisposableStack();
  let interrupted = false;
  let cleaning: Promise<void> | undefined;
  const clean = () => cleaning ??= cleanup.disposeAsync();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, async () => {
      interrupted = true;
      await clean();
      Deno.exit(130);
    });
  }
  try {
    await main(cleanup);
  } catch (error) {
    // Once interrupted, programs fail because their files are gone.
    if (!interrupted) {
      if (!(error instanceof ToolError)) throw error;
      console.error(`Error: ${error.message}`);
      if (error.details) console.error(error.details);
      if (error.hint !== undefined) console.error(`Hint: ${error.hint}`);
      Deno.exitCode = 1;
    }
  } finally {
    await clean();
  }
  Deno.exit(interrupted ? 130 : undefined);
}
