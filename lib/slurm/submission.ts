/** A job that sbatch says it has submitted. */
export interface Submission {
  /** The job id; of an array the master's, of a heterogeneous job the leader's. */
  readonly jobId: string;
  /** The cluster, when sbatch named one (`--clusters`, `SLURM_CLUSTERS`). */
  readonly cluster?: string;
}

const SENTENCE = /^Submitted batch job (\d+)(?: on cluster (\S+))?$/;
const PARSABLE = /^(\d+)(?:;(\S+))?$/;

/**
 * Returns every submission that the stdout of a submitting command names, in its order. It expects
 * `Submitted batch job 466`, `Submitted batch job 468 on cluster test`, `467` or `469;test` as a
 * line of its own; anything else on stdout (site banners, a script's own output) is skipped.
 */
export function parseSubmissions(stdout: string): Submission[] {
  const found: Submission[] = [];
  for (const line of stdout.split("\n")) {
    const match = SENTENCE.exec(line.trim()) ?? PARSABLE.exec(line.trim());
    const jobId = match?.[1];
    if (jobId === undefined) continue;
    const cluster = match?.[2];
    found.push(cluster === undefined ? { jobId } : { jobId, cluster });
  }
  return found;
}

/**
 * Returns the submission on the last matching line of stdout, or undefined when no line matches.
 * Neither the exit code nor stderr says more: `sbatch --wait` exits with the job's code after it
 * has printed the id, and `sbatch --quiet` submits and prints nothing (22.05).
 */
export function parseSubmission(stdout: string): Submission | undefined {
  return parseSubmissions(stdout).at(-1);
}

/**
 * Returns whether stderr holds the answer of `sbatch --test-only`, whose job id never exists:
 * `sbatch: Job 475 to start at 2026-11-22T14:59:22 using 1 processors on nodes n1 …` (22.05).
 */
export function saysTestOnly(stderr: string): boolean {
  return /^sbatch: Job \d+ to start at \S+ using \d+ processors /m.test(stderr);
}
