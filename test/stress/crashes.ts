import assert from "node:assert/strict";
import { changesOf, checkDataset, type ExpectedHistory, written } from "../support/checker.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver } from "../support/real_slurm.ts";
import { type Ran, runProgram } from "../support/scratch.ts";
import { toolEnvironment } from "../support/tool.ts";
import type { Blow, CrashPlan } from "./crash_worker.ts";
import { runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

const WORKER = new URL("./crash_worker.ts", import.meta.url).pathname;

/** Starts the tool as the crash worker does. */
export function workerArgv(args: readonly string[]): string[] {
  return [Deno.execPath(), "run", "--quiet", "--no-prompt", "-A", WORKER, ...args];
}

/** What became of one command that was struck. */
interface Crash {
  /** The step that it was struck at; undefined when it has fewer steps. */
  readonly step: string | undefined;
}

/** Runs the tool and strikes it at its n-th step. */
async function crash(
  dataset: TestDataset,
  args: readonly string[],
  plan: Omit<CrashPlan, "log">,
): Promise<Crash> {
  const log = `${dataset.scratch.directory}/steps`;
  await Deno.writeTextFile(log, "");
  const ran = await runProgram(workerArgv(args), {
    cwd: dataset.root,
    env: {
      ...dataset.env,
      ...toolEnvironment(),
      CRASH_PLAN: JSON.stringify({ ...plan, log } satisfies CrashPlan),
    },
  });
  const { at = 0, blow } = plan;
  const steps = (await Deno.readTextFile(log)).split("\n").slice(0, -1);
  if (steps.length < at) {
    assert.equal(ran.code, 0, ran.stderr);
    return { step: undefined };
  }
  const step = steps[at - 1] ?? "";
  if (blow === "fail" || blow === "full") assertToldWell(ran, step);
  else assert.equal(ran.code, 137, `It was to die at ${step}: ${ran.stderr}`);
  return { step };
}

/** What fails is told to people, as trouble that they can act on, or does not matter. */
function assertToldWell({ code, stderr }: Ran, step: string): void {
  assert.ok([0, 1, 3].includes(code), `Exit code ${code} after a failure at ${step}: ${stderr}`);
  assert.doesNotMatch(stderr, /This is a bug|\n {4}at /, `After a failure at ${step}`);
  if (code !== 0) {
    // A git that fails to resolve a name says what it says of one that names nothing.
    const told =
      /space|no luck|failed|could not|cannot|not known|refuses|submitted no|neither a commit/i;
    assert.match(stderr, told);
  }
}

/** One command after a crash; what the dead one has started may still be at work for a moment. */
export async function goOn(dataset: TestDataset): Promise<void> {
  let { code, stderr } = await dataset.tool(["recover"]);
  for (let attempt = 1; /at work/.test(stderr) && attempt < 100; attempt++) {
    ({ code, stderr } = await dataset.tool(["recover"]));
  }
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /at work|in doubt/);
}

/** How many jobs are scheduled at a time for the crashes of `finish`. */
const BATCH = 8;

/** The steps that change nothing, or only the lock's directory. */
export const NO_CHANGE = "/lock/|sacct|squeue|scontrol|(before|during|after) git " +
  "(rev-parse|config|log|var|check-ignore|ls-tree|merge-base|for-each-ref)";

/** The commands that are struck. */
export type StruckCommand = "schedule" | "finish" | "reschedule" | "recover";

/** Which steps are tried, and in which datasets. */
export interface CrashOptions {
  readonly kind: DatasetKind;
  /** Whether the outputs are in a subdataset. */
  readonly nested?: boolean;
  /** Whether the jobs run in a directory outside the dataset. */
  readonly altDir?: boolean;
  /** Whether finished jobs get branches of their own, and whether these are merged. */
  readonly layout?: "--branches" | "--octopus";
  /** What happens at the steps; `kill` when absent. */
  readonly blow?: Blow;
  /** Which commands are struck; schedule, finish and reschedule when absent. */
  readonly commands?: readonly StruckCommand[];
  /** Of all steps every so-manieth, which makes the short form short. */
  readonly every?: number;
  /** Steps that are left out: a regular expression. */
  readonly leaveOut?: string;
  readonly say?: (line: string) => void;
}

/** How many crashes each command has survived. */
export type CrashCounts = Record<StruckCommand, number>;

/** Nothing survived yet. */
export function noCrashes(): CrashCounts {
  return { schedule: 0, finish: 0, reschedule: 0, recover: 0 };
}

/**
 * Strikes commands at each of their steps, in one dataset, and looks after each time whether one
 * more command has put everything in order. Returns how many steps were tried. Rejects when
 * something is lost, doubled or left.
 */
export async function crashEverywhere(options: CrashOptions): Promise<CrashCounts> {
  const { every = 1, leaveOut, blow = "kill", layout, say = () => {} } = options;
  const commands = options.commands ?? ["schedule", "finish", "reschedule"];
  await using dataset = await TestDataset.make({ kind: options.kind });
  const nested = options.nested === true;
  const repositories = nested ? ["", "sub"] : [""];
  const below = nested ? "sub/" : "";
  if (nested) await addSubdataset(dataset);
  const elsewhere = options.altDir === true
    ? ["--alt-dir", `${dataset.scratch.directory}/elsewhere`]
    : [];
  const finishing = layout === undefined ? [] : [layout];
  const name = [
    blow,
    options.kind,
    ...(nested ? ["with a subdataset"] : []),
    ...elsewhere.slice(0, 1),
    ...finishing,
  ].join(" ");
  const look = () =>
    survey(dataset, repositories, layout === undefined ? ["HEAD"] : ["HEAD", "--branches"]);
  const base = await dataset.git("rev-parse", "HEAD");
  const counts = noCrashes();
  /** What each job writes. */
  const outputs = new Map<string, string>();

  /** Strikes at each step and lets `after` look at what has become of it. */
  async function atEachStep(
    command: StruckCommand,
    words: (at: number) => Promise<readonly string[]> | readonly string[],
    after: (at: number, now: Awaited<ReturnType<typeof survey>>) => Promise<void>,
  ): Promise<void> {
    for (let at = 1;; at += every) {
      const plan = { at, blow, ...(leaveOut === undefined ? {} : { leaveOut }) };
      const { step } = await crash(dataset, [command, ...await words(at)], plan);
      try {
        if (step !== undefined) await goOn(dataset);
        await after(at, await look());
      } catch (error) {
        throw new Error(`After ${blow} of ${command} at ${step}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      if (step === undefined) break;
      counts[command]++;
    }
    say(`${name}: ${counts[command]} × ${command} survived`);
  }

  /** Notes the output of the job that is new, if there is one. */
  const note = (accepted: readonly string[], output: string) => {
    for (const id of accepted) if (!outputs.has(id)) outputs.set(id, output);
  };
  const scheduling = (output: string) => [
    ...["-o", output, ...elsewhere, "sbatch", "write.sh", output],
  ];

  if (commands.includes("schedule")) {
    await atEachStep("schedule", (at) => scheduling(`${below}out/${at}`), (at, { accepted }) => {
      note(accepted, `${below}out/${at}`);
      return Promise.resolve();
    });
  }

  if (commands.includes("recover")) {
    // Of each two one has a submission to record, the other one a finish to clear away.
    let output = "";
    await atEachStep("recover", async (at) => {
      output = `${below}cut/${at}`;
      const args = ["schedule", ...scheduling(output)];
      if ((at - 1) / every % 2 === 0) {
        const ran = await runInterposed(dataset, args, {
          program: "sbatch",
          after: "kill -KILL $TOOL",
        });
        assert.equal(ran.code, 137, ran.stderr);
        return [];
      }
      const id = await dataset.schedule(scheduling(output));
      note([id], output);
      await jobsAreOver([id]);
      const ran = await runInterposed(dataset, ["finish", ...finishing, id], {
        program: "git",
        when: "*update-ref*finish*",
        [at % 4 < 2 ? "before" : "after"]: "kill -KILL $TOOL",
      });
      assert.equal(ran.code, 137, ran.stderr);
      return [];
    }, (_at, { accepted }) => {
      note(accepted, output);
      return Promise.resolve();
    });
  }

  // `finish` gets a job of its own for each crash.
  const ready = [...outputs.keys()];
  if (commands.includes("finish")) {
    let job = "";
    await atEachStep("finish", async (at) => {
      for (let more = 0; ready.length === 0 || more > 0 && more < BATCH; more++) {
        const output = `${below}more/${at}-${more}`;
        const id = await dataset.schedule(scheduling(output));
        outputs.set(id, output);
        ready.push(id);
      }
      await jobsAreOver(ready);
      job = ready.pop() ?? "";
      return [...finishing, job];
    }, async (_at, { finished }) => {
      if (!finished.includes(job)) await dataset.succeed(["finish", ...finishing, job]);
      assert.ok((await look()).finished.includes(job));
    });
  }
  await jobsAreOver((await look()).open);
  await dataset.succeed(["finish", ...finishing]);

  const first = new Map(outputs);
  if (commands.includes("reschedule")) {
    const again = [...first].reverse();
    await atEachStep("reschedule", async () => {
      const [id] = again.at(-1) ?? [];
      const grep = `--grep=Processed batch job ${id}:`;
      return [...elsewhere, await dataset.git("log", "-1", "--format=%H", grep)];
    }, async (_at, { accepted, open }) => {
      const [, output = ""] = again.at(-1) ?? [];
      note(accepted, output);
      // The next one takes another job, as this one's output is held.
      if (open.some((id) => outputs.get(id) === output)) again.pop();
      await Promise.resolve();
    });
    const { open } = await look();
    await jobsAreOver(open);
    await dataset.succeed(["finish"]);
  }
  if (nested) await checkNested(dataset, [...first.values()]);
  else if (layout !== undefined) await checkBranches(dataset, outputs);
  else await checkDataset(dataset, { base, finished: finishCommits(outputs, first) });
  return counts;
}

/** Asserts that each job's own branch has exactly its files, byte for byte. */
async function checkBranches(
  dataset: TestDataset,
  outputs: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [id, output] of outputs) {
    assert.deepEqual(
      [...(await changesOf(dataset, `job-${id}`)).keys()].toSorted(),
      Object.keys(written(id, [output])).toSorted(),
    );
    assert.equal(await dataset.git("show", `job-${id}:${output}`), `result of ${output}`);
  }
  assert.equal(await dataset.git("status", "--porcelain"), "");
  await dataset.git("fsck", "--strict", "--no-dangling");
}

/** Returns what the finish commits hold; a job that was submitted once more writes the same. */
function finishCommits(
  outputs: ReadonlyMap<string, string>,
  first: ReadonlyMap<string, string>,
): NonNullable<ExpectedHistory["finished"]> {
  return Object.fromEntries(
    [...outputs].map(([id, output]) => {
      const { [output]: result, ...logs } = written(id, [output]);
      return [id, result !== undefined && first.has(id) ? { [output]: result, ...logs } : logs];
    }),
  );
}

/** Makes a subdataset `sub` and commits it. */
export async function addSubdataset(dataset: TestDataset): Promise<void> {
  await dataset.git("init", "-q", "sub");
  if (await dataset.git("config", "--default", "", "annex.uuid") !== "") {
    await dataset.git("-C", "sub", "annex", "init", "-q", "sub");
  }
  await dataset.git("-C", "sub", "commit", "-q", "--allow-empty", "-m", "Begin");
  await dataset.git("submodule", "--quiet", "add", "https://example.org/sub", "sub");
  await dataset.git("commit", "-q", "-m", "A subdataset");
}

/** Asserts that the outputs are in the subdataset, that the dataset has its tip, and all is clean. */
async function checkNested(dataset: TestDataset, outputs: readonly string[]): Promise<void> {
  const inside = (...args: string[]) => dataset.git("-C", "sub", ...args);
  assert.equal(await dataset.git("status", "--porcelain", "--ignore-submodules=none"), "");
  assert.equal(await dataset.git("rev-parse", "HEAD:sub"), await inside("rev-parse", "HEAD"));
  assert.deepEqual(
    (await inside("ls-tree", "-r", "--name-only", "HEAD")).split("\n").toSorted(),
    outputs.map((output) => output.slice("sub/".length)).toSorted(),
  );
  const changed = (await inside("log", "--no-renames", "--format=", "--name-only")).split("\n");
  assert.equal(changed.filter((path) => path !== "").length, outputs.length, "Changed just once");
  for (const output of outputs) {
    assert.equal(await Deno.readTextFile(`${dataset.root}/${output}`), `result of ${output}\n`);
  }
  for (const repository of [".", "sub"]) {
    await dataset.git("-C", repository, "fsck", "--strict", "--no-dangling");
  }
}
