import { ask } from "../slurm/ask.ts";
import { CONTROLLER_ARGV, parseController } from "../slurm/controller.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import { CLOCK_SLACK } from "../slurm/report.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { isOver } from "../slurm/states.ts";
import { endingOf, ownIdentity, type ProcessIdentity } from "../store/lock_identity.ts";

const PATIENCE_MS = 10_000;

/**
 * Says whether the process that owns a journal entry since that time, in milliseconds since 1970, has
 * provably ended. Of a process on another machine only Slurm can tell, where it was part of a job:
 * no process of a job outlives it there.
 */
export async function hasEnded(owner: ProcessIdentity, since: number): Promise<boolean> {
  const own = ownIdentity();
  if (endingOf(owner, own) !== "unknown") return true;
  return owner.slurmJobId !== undefined && owner.slurmJobId !== own.slurmJobId &&
    owner.host !== own.host && await isJobOver(owner, new Date(since)) === true;
}

/**
 * Asks Slurm whether the job is over that a process was part of at that time; undefined when there is
 * no answer. A job of that number that ended before is not the one.
 */
export async function isJobOver(
  { slurmJobId: jobId, slurmCluster: cluster }: ProcessIdentity,
  at: Date,
): Promise<boolean | undefined> {
  if (jobId === undefined) return undefined;
  const job = cluster === undefined || await isLocal(cluster) ? { jobId } : { jobId, cluster };
  const report = (await queryJobs([job], { timeoutMs: PATIENCE_MS })).get(jobKey(job));
  if (report === undefined || report.phase === "unknown") return undefined;
  if (!isOver(report.phase)) return false;
  const isTheOne = (report.end ?? -Infinity) >= at.getTime() / 1000 - CLOCK_SLACK;
  return isTheOne ? true : undefined;
}

/** Whether a cluster is the one that is asked where none is named: that takes no slurmdbd. */
async function isLocal(cluster: string): Promise<boolean> {
  if (isStandIn(cluster)) return false;
  if (cluster === ownIdentity().slurmCluster) return true;
  const { stdout } = await ask(CONTROLLER_ARGV, PATIENCE_MS);
  return parseController(stdout).cluster === cluster;
}
