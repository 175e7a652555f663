import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
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

/** Which steps are tried, and in which datasets. */
export interface CrashOptions {
  readonly kind: DatasetKind;
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
        await after(at, await survey(dataset));
      } catch (error) {
        throw new Error(`After a crash of ${command} at ${step}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      if (step === undefined) break;
      counts[command]++;
    }
    say(`${options.kind}: ${counts[command]} crashes of ${command} survived`);
  }

  /** Notes the output of the job that is new, if there is one. */
  const note = (accepted: readonly string[], output: string) => {
    for (const id of accepted) if (!outputs.has(id)) outputs.set(id, output);
  };

  await atEachStep(
    "schedule",
    (at) => ["-o", `out/${at}`, "sbatch", "write.sh", `out/${at}`],
    async (at, { accepted }) => {
      note(accepted, `out/${at}`);
      await Promise.resolve();
    },
  );

  // `finish` gets a job of its own for each crash.
  const ready = [...outputs.keys()];
  let job = "";
  await atEachStep("finish", async (at) => {
    for (let more = 0; ready.length === 0 || more > 0 && more < BATCH; more++) {
      const output = `more/${at}-${more}`;
      const id = await dataset.schedule(["-o", output, "sbatch", "write.sh", output]);
      outputs.set(id, output);
      ready.push(id);
    }
    await jobsAreOver(ready);
    job = ready.pop() ?? "";
    return [job];
  }, async (_at, { finished }) => {
    if (!finished.includes(job)) await dataset.succeed(["finish", job]);
    assert.ok((await survey(dataset)).finished.includes(job));
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

  const { open } = await survey(dataset);
  await jobsAreOver(open);
  await dataset.succeed(["finish"]);
  await checkDataset(dataset, {
    base,
    finished: Object.fromEntries(
      [...outputs].map(([id, output]) => {
        const { [output]: result, ...logs } = written(id, [output]);
        // A job that was submitted once more writes the same once more.
        return [id, result !== undefined && first.has(id) ? { [output]: result, ...logs } : logs];
      }),
    ),
  });
  return counts;
}
