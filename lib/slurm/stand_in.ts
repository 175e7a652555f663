import type { Submission } from "./submission.ts";

/** What comes before the host's name in the stand-in's cluster name; no real cluster has an `@`. */
const PREFIX = "local@";

/**
 * The first job id of the stand-in. Slurm's own end at 67043328 (MaxJobId, 25.11), so that an id
 * alone tells where a job is from.
 */
export const FIRST_STAND_IN_ID = 1_000_000_000;

/** The stand-in behaves as this version does, and names itself. */
export const STAND_IN_VERSION = "22.05-stand-in";

/** Returns the cluster name of the stand-in for Slurm on a host. */
export function standInCluster(host: string): string {
  return `${PREFIX}${host.split(".", 1)[0]?.toLowerCase()}`;
}

/** Whether a cluster is the stand-in for Slurm of some machine. */
export function isStandIn(cluster: string | undefined): boolean {
  return cluster?.startsWith(PREFIX) === true;
}

/** Returns what the stand-in's sbatch says on stderr about each job. */
export function standInNotice(jobId: string, cluster: string): string {
  return `sbatch: Job ${jobId} runs on this machine (${cluster}): this is datalad-slurm's local ` +
    "stand-in and no Slurm";
}

/**
 * Returns a submission with the stand-in for its cluster when it is one of the stand-in's: its notice
 * stands on stderr, or the stand-in was chosen and the id is one that no Slurm gives.
 */
export function atStandIn(
  submission: Submission,
  stderr: string,
  chosen: string | undefined,
): Submission {
  if (submission.cluster !== undefined) return submission;
  const notice = /^sbatch: Job (\d+) runs on this machine \((\S+)\): /gm;
  for (const [, jobId, cluster] of stderr.matchAll(notice)) {
    if (jobId === submission.jobId && cluster !== undefined) return { ...submission, cluster };
  }
  return chosen === undefined || Number(submission.jobId) < FIRST_STAND_IN_ID
    ? submission
    : { ...submission, cluster: chosen };
}
