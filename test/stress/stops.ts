import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { TestDataset } from "../support/dataset.ts";
import { jobsAreOver, until } from "../support/real_slurm.ts";
import { toolEnvironment } from "../support/tool.ts";
import type { CrashPlan } from "./crash_worker.ts";
import { goOn, workerArgv } from "./crashes.ts";
import { survey } from "./survival.ts";

const BREAKER = new URL("./breaker_worker.ts", import.meta.url).pathname;

/** Which steps are tried. */
export interface StopOptions {
  readonly command: "schedule" | "finish";
  /** Of all steps every so-manieth. */
  readonly every?: number;
  readonly leaveOut: string;
  readonly say?: (line: string) => void;
}

/** What came of it. */
export interface StopCounts {
  stops: number;
  /** How often others broke the lock of the one that was stopped, which then came back. */
  broken: number;
}

/**
 * Stops a command (SIGSTOP) at each of its steps, lets others work for whom a second is what a
 * quarter of an hour is otherwise, so that they may break its lock on silence, and lets it go on (SIGCONT). Rejects when something is
 * lost, doubled or left, or when a commit of the others is gone.
 */
export async function stopEverywhere(options: StopOptions): Promise<StopCounts> {
  const { command, every = 1, leaveOut, say = () => {} } = options;
  await using dataset = await TestDataset.make();
  const base = await dataset.git("rev-parse", "HEAD");
  const counts: StopCounts = { stops: 0, broken: 0 };
  const outputs = new Map<string, string>();
  const schedule = async (output: string) => {
    const id = await dataset.schedule(["-o", output, "sbatch", "write.sh", output]);
    outputs.set(id, output);
    return id;
  };
  const epoch = () =>
    dataset.git("for-each-ref", "--format=%(objectname)", "refs/datalad-slurm/epoch");
  for (let at = 1;; at += every) {
    const own = `own/${at}`;
    let words = ["schedule", "-o", own, "sbatch", "write.sh", own];
    if (command === "finish") {
      const id = await schedule(own);
      await jobsAreOver([id]);
      words = ["finish", id];
    }
    const log = `${dataset.scratch.directory}/steps`;
    await Deno.writeTextFile(log, "");
    const plan: CrashPlan = { log, at, blow: "stop", leaveOut };
    const [program = "", ...args] = workerArgv(words);
    const child = new Deno.Command(program, {
      args,
      cwd: dataset.root,
      clearEnv: true,
      env: { ...dataset.env, ...toolEnvironment(), CRASH_PLAN: JSON.stringify(plan) },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let hasEnded = false;
    const ending = child.output().finally(() => hasEnded = true);
    await until("it has stopped or ended", () => hasEnded || isStopped(child.pid));
    const before = await epoch();
    if (!hasEnded) {
      const other = `other/${at}`;
      const words = [Deno.execPath(), "run", "--quiet", "--no-prompt", "-A", BREAKER];
      const seen = await dataset.run([...words, dataset.root], { env: toolEnvironment() });
      assert.match(seen.stdout, /^(acquired|locked)$/m, seen.stderr);
      const { code, stdout, stderr } = await dataset.tool([
        ...["schedule", "--lock-timeout", "0", "-o", other, "sbatch", "write.sh", other],
      ]);
      // Where more than refs may be changed, silence is no proof, and the holder is named.
      assert.equal(code, seen.stdout.startsWith("acquired") ? 0 : 4, stderr);
      if (code === 4) assert.match(stderr, /locked by .+pid \d+[^]*unlock --force/);
      const id = /^Submitted batch job (\d+)/m.exec(stdout)?.[1];
      if (id !== undefined) outputs.set(id, other);
    }
    const isBroken = await epoch() !== before;
    const tip = await dataset.git("rev-parse", "HEAD");
    if (!hasEnded) Deno.kill(child.pid, "SIGCONT");
    const ended = await ending;
    const steps = (await Deno.readTextFile(log)).split("\n").slice(0, -1);
    const where = `${command} stopped at ${steps[at - 1]}`;
    const said = new TextDecoder().decode(ended.stderr) + new TextDecoder().decode(ended.stdout);
    assert.equal(ended.code, 0, `${where}: ${said}`);
    await dataset.git("merge-base", "--is-ancestor", tip, "HEAD");
    try {
      await goOn(dataset);
      const { accepted } = await survey(dataset);
      for (const id of accepted) if (!outputs.has(id)) outputs.set(id, own);
    } catch (error) {
      throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
    }
    if (steps.length < at) break;
    counts.stops++;
    if (isBroken) counts.broken++;
  }
  await jobsAreOver([...outputs.keys()]);
  await dataset.succeed(["finish"]);
  await checkDataset(dataset, {
    base,
    finished: Object.fromEntries(
      [...outputs].map(([id, output]) => [id, written(id, [output])]),
    ),
  });
  say(`${counts.stops} stops of ${command}, ${counts.broken} locks broken: nothing lost`);
  return counts;
}

/** Says whether a process is stopped (SIGSTOP). */
function isStopped(pid: number): boolean {
  try {
    return / T /.test(Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\)/, ""));
  } catch {
    return false;
  }
}
