import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { type DatasetKind, jobIdIn, TestDataset } from "../support/dataset.ts";
import { jobsAreOver } from "../support/real_slurm.ts";
import type { Ran } from "../support/scratch.ts";
import { atSomeNode, toolArgv, toolEnvironment } from "../support/tool.ts";
import { goOn } from "./crashes.ts";
import { survey } from "./survival.ts";
import { User } from "./user.ts";

/** How many processes do what. */
export interface CrowdOptions {
  readonly kind: DatasetKind;
  /** How many processes are at work at once. */
  readonly processes: number;
  readonly rounds: number;
  /** Whether a user works in the dataset at the same time. */
  readonly user?: boolean;
  /** The part of the processes that is killed at a random moment. */
  readonly killed?: number;
  readonly say?: (line: string) => void;
}

/** What a crowd has done. */
export interface CrowdCounts {
  jobs: number;
  kills: number;
  /** Commands of the user. */
  ofUser: number;
}

/** Runs the tool and kills it, if a moment is given, so many milliseconds after its start. */
async function runForMoment(
  dataset: TestDataset,
  args: readonly string[],
  moment: number | undefined,
): Promise<Ran & { readonly killed: boolean }> {
  if (moment === undefined) return { ...await dataset.tool(args), killed: false };
  const [program = "", ...words] = atSomeNode([...toolArgv(), ...args], dataset.root);
  const child = new Deno.Command(program, {
    args: words,
    cwd: dataset.root,
    clearEnv: true,
    env: { ...dataset.env, ...toolEnvironment() },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It was faster.
    }
  }, moment);
  const { code, signal } = await child.status;
  clearTimeout(timer);
  return { code, killed: signal === "SIGKILL", stdout: "", stderr: "" };
}

/**
 * Lets many processes schedule at once, two each for the same output, and then as many finish, two
 * each the same job; again and again. Returns what was done; rejects when something is lost,
 * doubled, mixed up or left.
 */
export async function crowd(options: CrowdOptions): Promise<CrowdCounts> {
  const { kind, processes, rounds, killed = 0, say = () => {} } = options;
  await using dataset = await TestDataset.make({ kind });
  const base = await dataset.git("rev-parse", "HEAD");
  const user = new User(dataset, kind);
  const outputs = new Map<string, string>();
  const counts: CrowdCounts = { jobs: 0, kills: 0, ofUser: 0 };
  /** How long a command takes here, under this load, in milliseconds. */
  let usual = 1_000;

  const all = async (commands: readonly (readonly string[])[]) => {
    const started = performance.now();
    const work = Promise.all(commands.map((args) => {
      const dies = Math.random() < killed;
      return runForMoment(dataset, args, dies ? Math.random() * usual : undefined);
    }));
    const meanwhile = Promise.allSettled(options.user === true ? [user.workUntil(work)] : []);
    const ran = await work;
    // The index may still be locked by one that was killed, which the next command sets right.
    const order = await Promise.allSettled(killed > 0 ? [goOn(dataset)] : []);
    for (const result of [...order, ...await meanwhile]) {
      if (result.status === "rejected") throw result.reason;
    }
    usual = performance.now() - started;
    counts.kills += ran.filter((one) => one.killed).length;
    return ran;
  };

  for (let round = 1; round <= rounds; round++) {
    const wanted = Array.from({ length: processes }, (_, at) => `r${round}/${at >> 1}`);
    const scheduled = await all(
      wanted.map((output) => ["schedule", "-o", output, "sbatch", "write.sh", output]),
    );
    const { accepted, open } = await survey(dataset);
    for (const id of accepted) {
      if (!outputs.has(id)) outputs.set(id, await outputOf(dataset, id));
    }
    for (const [at, { code, stdout, stderr, killed: died }] of scheduled.entries()) {
      if (died) continue;
      if (code === 0 && stdout !== "") assert.equal(outputs.get(jobIdIn(stdout)), wanted[at]);
      else if (stderr !== "") assert.match(stderr, /is held by/);
    }
    const now = open.map((id) => outputs.get(id));
    assert.equal(new Set(now).size, now.length, "Two open jobs have one output");
    if (killed === 0) assert.deepEqual(new Set(now), new Set(wanted));
    await jobsAreOver(open);

    const finished = await all(open.flatMap((id) => [["finish", id], ["finish", id]]));
    if (killed > 0) await dataset.succeed(["finish"]);
    for (const { code, stderr, killed: died } of finished) {
      if (died || code === 0 || stderr === "") continue;
      assert.match(stderr, /is finished already/, `Exit code ${code}: ${stderr}`);
    }
    assert.deepEqual((await survey(dataset)).open, []);
    counts.jobs = outputs.size;
    say(`${kind}: round ${round}: ${outputs.size} jobs, ${counts.kills} kills`);
  }
  counts.ofUser = user.commands;
  await checkDataset(dataset, {
    base,
    finished: Object.fromEntries(
      [...outputs].map(([id, output]) => [id, written(id, [output])]),
    ),
    others: user.subjects,
    status: user.staged.map((path) => `A  ${path}`),
  });
  return counts;
}

async function outputOf(dataset: TestDataset, id: string): Promise<string> {
  const body = await dataset.git("log", "-1", "--format=%B", `--grep=Submitted batch job ${id}:`);
  return /"outputs": \[\n\s+"(.*)"/.exec(body)?.[1] ?? "no output";
}
