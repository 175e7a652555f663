import assert from "node:assert/strict";
import { checkDataset, type ExpectedHistory, written } from "../support/checker.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver } from "../support/real_slurm.ts";
import { runProgram } from "../support/scratch.ts";
import { toolEnvironment } from "../support/tool.ts";
import type { CrashPlan } from "./crash_worker.ts";
import { survey } from "./survival.ts";

const WORKER = new URL("./crash_worker.ts", import.meta.url).pathname;

/** What became of one command that was to kill itself. */
interface Crash {
  /** The step that it died at; undefined when it has fewer steps. */
  readonly step: string | undefined;
}

/** Runs the tool and kills it at its n-th step. */
async function crash(
  dataset: TestDataset,
  args: readonly string[],
  plan: Omit<CrashPlan, "log">,
): Promise<Crash> {
  const log = `${dataset.scratch.directory}/steps`;
  await Deno.writeTextFile(log, "");
  const ran = await runProgram(
    [Deno.execPath(), "run", "--quiet", "--no-prompt", "-A", WORKER, ...args],
    {
      cwd: dataset.root,
      env: {
        ...dataset.env,
        ...toolEnvironment(),
        CRASH_PLAN: JSON.stringify({ ...plan, log } satisfies CrashPlan),
      },
    },
  );
  const steps = (await Deno.readTextFile(log)).split("\n").slice(0, -1);
  if (steps.length < (plan.at ?? 0)) {
    assert.equal(ran.code, 0, ran.stderr);
    return { step: undefined };
  }
  assert.equal(ran.code, 137, `It was to die at ${steps.at(-1)}: ${ran.stderr}`);
  return { step: steps.at(-1) ?? "" };
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
export const NO_CHANGE = "/lock/|sacct|(before|during|after) git " +
  "(rev-parse|config|log|var|check-ignore|ls-tree|merge-base|for-each-ref)";

/** Which steps are tried, and in which datasets. */
export interface CrashOptions {
  readonly kind: DatasetKind;
  /** Whether the outputs are in a subdataset. */
  readonly nested?: boolean;
  /** Of all steps every so-manieth, which makes the short form short. */
  readonly every?: number;
  /** Steps that are left out: a regular expression. */
  readonly leaveOut?: string;
  readonly say?: (line: string) => void;
}

/** How many crashes each command has survived. */
export interface CrashCounts {
  schedule: number;
  finish: number;
  reschedule: number;
}

/**
 * Kills `schedule`, `finish` and `reschedule` at each of their steps, in one dataset, and looks
 * after each time whether one more command has put everything in order. Returns how many steps were
 * tried. Rejects when something is lost, doubled or left.
 */
export async function crashEverywhere(options: CrashOptions): Promise<CrashCounts> {
  const { every = 1, leaveOut, say = () => {} } = options;
  await using dataset = await TestDataset.make({ kind: options.kind });
  const nested = options.nested === true;
  const repositories = nested ? ["", "sub"] : [""];
  const below = nested ? "sub/" : "";
  if (nested) await addSubdataset(dataset);
  const name = `${options.kind}${nested ? " with a subdataset" : ""}`;
  const base = await dataset.git("rev-parse", "HEAD");
  const counts: CrashCounts = { schedule: 0, finish: 0, reschedule: 0 };
  /** What each job writes. */
  const outputs = new Map<string, string>();

  /** Crashes at each step and lets `after` look at what has become of it. */
  async function atEachStep(
    command: keyof CrashCounts,
    words: (at: number) => Promise<readonly string[]> | readonly string[],
    after: (at: number, now: Awaited<ReturnType<typeof survey>>) => Promise<void>,
  ): Promise<void> {
    for (let at = 1;; at += every) {
      const plan = { at, ...(leaveOut === undefined ? {} : { leaveOut }) };
      const { step } = await crash(dataset, [command, ...await words(at)], plan);
      try {
        if (step !== undefined) await goOn(dataset);
        await after(at, await survey(dataset, repositories));
      } catch (error) {
        throw new Error(`After a crash of ${command} at ${step}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      if (step === undefined) break;
      counts[command]++;
    }
    say(`${name}: ${counts[command]} crashes of ${command} survived`);
  }

  /** Notes the output of the job that is new, if there is one. */
  const note = (accepted: readonly string[], output: string) => {
    for (const id of accepted) if (!outputs.has(id)) outputs.set(id, output);
  };

  await atEachStep(
    "schedule",
    (at) => ["-o", `${below}out/${at}`, "sbatch", "write.sh", `${below}out/${at}`],
    async (at, { accepted }) => {
      note(accepted, `${below}out/${at}`);
      await Promise.resolve();
    },
  );

  // `finish` gets a job of its own for each crash.
  const ready = [...outputs.keys()];
  let job = "";
  await atEachStep("finish", async (at) => {
    for (let more = 0; ready.length === 0 || more > 0 && more < BATCH; more++) {
      const output = `${below}more/${at}-${more}`;
      const id = await dataset.schedule(["-o", output, "sbatch", "write.sh", output]);
      outputs.set(id, output);
      ready.push(id);
    }
    await jobsAreOver(ready);
    job = ready.pop() ?? "";
    return [job];
  }, async (_at, { finished }) => {
    if (!finished.includes(job)) await dataset.succeed(["finish", job]);
    assert.ok((await survey(dataset, repositories)).finished.includes(job));
  });
  await dataset.succeed(["finish"]);

  const first = new Map(outputs);
  const again = [...first].reverse();
  await atEachStep("reschedule", async () => {
    const [id] = again.at(-1) ?? [];
    return [await dataset.git("log", "-1", "--format=%H", `--grep=Processed batch job ${id}:`)];
  }, async (_at, { accepted, open }) => {
    const [, output = ""] = again.at(-1) ?? [];
    note(accepted, output);
    // The next one takes another job, as this one's output is held.
    if (open.some((id) => outputs.get(id) === output)) again.pop();
    await Promise.resolve();
  });

  const { open } = await survey(dataset, repositories);
  await jobsAreOver(open);
  await dataset.succeed(["finish"]);
  if (nested) await checkNested(dataset, [...first.values()]);
  else await checkDataset(dataset, { base, finished: finishCommits(outputs, first) });
  return counts;
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
