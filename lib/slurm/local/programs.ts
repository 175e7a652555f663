import { startAside } from "../../process/aside.ts";
import { ownProgram } from "../../process/own_program.ts";
import type { Context } from "./context.ts";
import { hasArgument, hostName } from "./machine.ts";
import { AS_STAND_IN, clusterOf, isElsewhere } from "./place.ts";
import { hasRunning, hasWork, lookupIn } from "./plan.ts";
import { HAS_LOOKED, runJobs } from "./runner.ts";
import { sacct } from "./sacct.ts";
import { sbatch, VERSION_LINE } from "./sbatch.ts";
import { scancel } from "./scancel.ts";
import { scontrol } from "./scontrol.ts";
import { squeue } from "./squeue.ts";
import { liveJobs, type LocalStore, readJob, readQuietly, storeAt, withLock } from "./store.ts";
import { Refusal } from "./words.ts";

/** How a program of the stand-in was called. */
export interface Call {
  readonly program: string;
  /** The path that the user called. */
  readonly calledAs: string;
  /** The stand-in's folder. */
  readonly directory: string;
  /** Write text as it is to stdout, and a line to stderr. */
  out(text: string): void;
  err(line: string): void;
}

/** Runs one of Slurm's programs as the stand-in does it, and returns its exit code. */
export async function runStandIn(call: Call, words: readonly string[]): Promise<number> {
  const store = storeAt(call.directory);
  const environment = Deno.env.toObject();
  const context: Context = {
    store,
    cluster: clusterOf(store),
    host: hostName(),
    calledAs: call.calledAs,
    environment,
    now: () => Date.now() / 1000,
    out: call.out,
    err: call.err,
    wakeRunner: () => void wakeRunner(store),
  };
  try {
    refuseOtherCluster(call.program, words, context.cluster);
    return await dispatch(call.program, context, words);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    call.err(error.message);
    return error.code === 1 ? Number(environment["SLURM_EXIT_ERROR"]) || 1 : error.code;
  }
}

async function dispatch(
  program: string,
  context: Context,
  words: readonly string[],
): Promise<number> {
  if (program === "sbatch") return await sbatch(context, words);
  if (words.some((word) => word === "--version" || word === "-V")) {
    context.out(`${VERSION_LINE}\n`);
    return 0;
  }
  // Should the runner have died, whoever asks brings up the next one.
  if (wakeRunner(context.store) === "adopts") await adopted(context.store);
  switch (program) {
    case "squeue":
      return squeue(context, words);
    case "sacct":
      return sacct(context, words);
    case "scontrol":
      return await scontrol(context, words);
    default:
      return scancel(context, words);
  }
}

/** A question about another cluster must not be answered with jobs of this machine. */
function refuseOtherCluster(program: string, words: readonly string[], own: string): void {
  if (program === "sbatch") return;
  const given = words.findLast((word) => word.startsWith("--clusters="))?.slice(11);
  if (given === undefined || given === own || given === "all") return;
  throw new Refusal(
    `${program}: error: No cluster '${given}' known by database.\n` +
      `${program}: error: The local stand-in is '${own}'`,
  );
}

/**
 * Starts a runner where there is work and none is at it; tells whether it `adopts` jobs of one that
 * has died, of which nobody knows yet how they are.
 */
function wakeRunner(store: LocalStore): "adopts" | undefined {
  const own = ownProgram();
  if (own === undefined || isElsewhere(store.directory)) return undefined;
  try {
    if (liveJobsAreNone(store)) return undefined;
    return withLock(store, () => {
      using file = Deno.openSync(store.runner, { create: true, write: true });
      if (!file.tryLockSync(true)) return undefined;
      file.unlockSync();
      // One that was started a moment ago may not have the lock yet.
      const starting = Number(readQuietly(store.runner));
      if (starting > 1 && hasArgument(starting, store.directory)) return undefined;
      const jobs = liveJobs(store);
      if (!hasWork(jobs, lookupIn(jobs, (id) => readJob(store, id)), Date.now() / 1000)) {
        return undefined;
      }
      const argv = [...own.argv, `${AS_STAND_IN}runner`, store.directory];
      const { pid } = startAside(argv, "/", { ...Deno.env.toObject(), ...own.environment });
      Deno.writeTextFileSync(store.runner, `${pid}\n`);
      return hasRunning(jobs) ? "adopts" : undefined;
    });
  } catch (error) {
    // A folder of another machine's may be read-only.
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
    return undefined;
  }
}

/** Waits, but not for long, until a runner that was just started has looked at all jobs once. */
async function adopted(store: LocalStore): Promise<void> {
  for (let waited = 0; waited < ADOPTION_MS; waited += 20) {
    if (readQuietly(store.runner)?.includes(HAS_LOOKED) === true) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Longest wait for a runner's first look at the jobs, in milliseconds. */
const ADOPTION_MS = 5_000;

function liveJobsAreNone({ live }: LocalStore): boolean {
  try {
    for (const _ of Deno.readDirSync(live)) return false;
  } catch {
    // Nothing was ever submitted.
  }
  return true;
}

/** Runs the jobs of a folder until none is left that can run. */
export async function runRunner(directory: string): Promise<void> {
  const store = storeAt(directory);
  await runJobs(store, clusterOf(store));
}
