import { standInCluster } from "../../lib/slurm/stand_in.ts";
import { acquireCluster, clusterObstacle } from "../cluster/cluster.ts";
import { startLocalSlurm } from "./local_slurm.ts";
import { output } from "./scratch.ts";

/** Whether the tests are to do without a cluster, even where one can be started. */
export const wantsLocal = Deno.env.get("DATALAD_SLURM_TEST") === "local";

/**
 * Whether there is no cluster, so that tests of what only a real Slurm does are left out; the others
 * run on the stand-in.
 */
export const noRealSlurm = wantsLocal || clusterObstacle() !== undefined;

/** What records name as the cluster: the stand-in's; Slurm's name is left out where it is not asked for. */
export function recordedCluster(): { readonly cluster?: string } {
  return noRealSlurm ? { cluster: standInCluster(Deno.hostname()) } : {};
}

/** A cluster, or the stand-in. */
interface Slurm {
  readonly env: Readonly<Record<string, string>>;
  release(): Promise<void>;
}

let cluster: Slurm | undefined;

/** Sees to it that the tests of a file have a Slurm; the cluster that is up, where there is one. */
export function useCluster(): void {
  Deno.test.beforeAll(startCluster);
  Deno.test.afterAll(stopCluster);
}

/** Sees to it that a program which is no test has a Slurm. */
export async function startCluster(): Promise<void> {
  cluster = noRealSlurm ? await startLocalSlurm() : await acquireCluster();
}

/** Stops the cluster, if it was started for us. */
export async function stopCluster(): Promise<void> {
  await cluster?.release();
}

/** Returns what programs need in their environment to talk to the cluster. */
export function slurmEnvironment(): Record<string, string> {
  if (cluster === undefined) throw new Error("useCluster() was not called, or too late");
  return { ...cluster.env };
}

/** Runs one of Slurm's own programs, which must succeed. */
export async function slurm(...argv: string[]): Promise<string> {
  const env = { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", ...slurmEnvironment() };
  return await output(argv, { cwd: "/", env });
}

/** Longest wait for Slurm, in milliseconds. */
const PATIENCE = 60_000;

/** Waits until a condition on Slurm or on files holds. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  for (let pause = 20; !await holds(); pause = Math.min(pause * 1.5, 200)) {
    if (performance.now() > deadline) {
      throw new Error(`Waited ${PATIENCE / 1000} s in vain until ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Waits until slurmctld has none of the jobs before it any more, arrays included. */
export async function jobsAreOver(ids: readonly string[]): Promise<void> {
  await until(`jobs ${ids.join(", ")} are over`, async () => {
    const live = new Set((await slurm("squeue", "--noheader", "--format=%F")).split(/\s+/));
    return !ids.some((id) => live.has(id));
  });
}

/**
 * Waits until jobs are over and accounting has all of them. It lags behind by seconds: at first it
 * may have the end of a job, but not its request, and of an array one row.
 */
export async function jobsAreAccounted(ids: readonly string[]): Promise<void> {
  await jobsAreOver(ids);
  await until(`accounting has jobs ${ids.join(", ")}`, async () => {
    const rows = await slurm("sacct", "-nXPDj", ids.join(","), "-o", "End,ReqMem");
    return rows.trim().split("\n").length >= ids.length && rows !== "" && !/Unknown|\?/.test(rows);
  });
}

/** Waits until a job or array task (`12`, `12_3`) is in a state such as `RUNNING`. */
export async function jobIs(id: string, state: string): Promise<void> {
  await until(`job ${id} is ${state}`, async () => {
    const answer = await slurm(
      "squeue",
      "--noheader",
      "--array",
      "--states=all",
      "--format=%i %T",
      `--jobs=${id}`,
    );
    return answer.split("\n").some((line) => line.trim() === `${id} ${state}`);
  });
}

/** Returns the ids of all jobs that slurmctld knows to have been submitted below a directory. */
export async function jobsSubmittedBelow(directory: string): Promise<string[]> {
  const answer = await slurm("squeue", "--noheader", "--states=all", "--format=%F|%Z");
  return [
    ...new Set(
      answer.split("\n").flatMap((line) => {
        const [id = "", workDir = ""] = line.split("|");
        return workDir.trim().startsWith(directory) ? [id.trim()] : [];
      }),
    ),
  ].sort((a, b) => Number(a) - Number(b));
}

/** Cancels what is left of the jobs that were submitted below a directory. */
export async function cancelJobsBelow(directory: string): Promise<void> {
  const ids = await jobsSubmittedBelow(directory);
  if (ids.length === 0) return;
  await slurm("scancel", "--quiet", ...ids);
  await jobsAreOver(ids);
}
