/** A job that sbatch says it has submitted. */
export interface Submission {
  /** The job id; of an array the master's, of a heterogeneous job the leader's. */
  readonly jobId: string;
  /** The cluster, when sbatch named one (`--clusters`, `SLURM_CLUSTERS`). */
  readonly cluster?: string;
}

/** What the stdout of a submitting command names. */
export interface PrintedSubmissions {
  readonly submissions: readonly Submission[];
  /** Whether they stand there as bare numbers, which a site's banner may print as well. */
  readonly bare: boolean;
}

const SENTENCE = /^Submitted batch job (\d+)(?: on cluster (\S+))?$/;
const PARSABLE = /^(\d+);(\S+)$/;
const NUMBER = /^([1-9]\d*)$/;

/**
 * Returns every submission that the stdout of a submitting command names, in its order. It expects
 * `Submitted batch job 466` or `Submitted batch job 468 on cluster test` as a line of its own; where
 * there is none, `467` or `469;test` (`--parsable`). Anything else on stdout (site banners, a
 * script's own output) is skipped.
 */
export function parseSubmissions(stdout: string): PrintedSubmissions {
  const lines = stdout.split("\n").map((line) => line.trim());
  const plain = lines.flatMap((line) => submissionIn(SENTENCE.exec(line) ?? PARSABLE.exec(line)));
  if (plain.length > 0) return { submissions: plain, bare: false };
  return { submissions: lines.flatMap((line) => submissionIn(NUMBER.exec(line))), bare: true };
}

function submissionIn(match: RegExpExecArray | null): Submission[] {
  const [, jobId, cluster] = match ?? [];
  if (jobId === undefined) return [];
  return [cluster === undefined ? { jobId } : { jobId, cluster }];
}

/**
 * Returns whether stderr holds the answer of `sbatch --test-only`, whose job id never exists:
 * `sbatch: Job 475 to start at 2026-11-22T14:59:22 using 1 processors on nodes n1 …` (22.05). With
 * `SLURM_TIME_FORMAT` the time may hold spaces.
 */
export function saysTestOnly(stderr: string): boolean {
  return /^sbatch: Job \d+ to start at \S.*? using \d+ processors /m.test(stderr);
}

/**
 * Returns whether stderr says that slurmctld may have accepted a job although sbatch had no answer:
 * `sbatch: error: Batch job submission failed: Socket timed out on send/recv operation` and the
 * like. slurmctld may even accept it a while later (20.11 to 25.11).
 */
export function saysNoAnswer(stderr: string): boolean {
  return NO_ANSWER.test(stderr);
}

/** A connection that was made, and gave no answer. */
const NO_ANSWER = new RegExp(
  [
    "timed out",
    "Zero Bytes were transmitted",
    "Message (?:receive|send) failure",
    "Communication (?:shutdown|send|receive) failure",
    "Unexpected message received",
    "Insane message length",
    "Connection reset by peer",
    "Broken pipe",
    "Transport endpoint is not connected",
    "Interrupted system call",
    "Unspecified error",
    "Unable to contact slurm controller \\((?!connect)",
  ].join("|"),
  "i",
);

/**
 * Returns whether stderr says that sbatch was refused, or never reached slurmctld:
 * `sbatch: error: Batch job submission failed: Invalid partition name specified`,
 * `sbatch: error: Unable to open file missing.sh`, `sbatch: unrecognized option '--foo'`,
 * `sbatch: error: 'other' can't be reached now, …` (22.05).
 */
export function saysRefused(stderr: string): boolean {
  return !saysNoAnswer(stderr) &&
    /^(?:(?:\S*\/)?sbatch: (?:error: (?:Batch job submission failed|Unable to open file|This does not look like a batch script|No cluster |'\S+' can't be reached now|Batch script)|fatal:|unrecognized option|invalid option|option .* requires)|allocation failure:)/m
      .test(stderr);
}
