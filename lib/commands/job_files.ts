import type { RecordedJob } from "../dataset/history.ts";
import { reservedPath } from "../dataset/task_paths.ts";
import { isThere } from "../files.ts";
import { joinPath, parentPath, pathBelow } from "../paths.ts";
import type { IndexSet } from "../slurm/array.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { dependsOnRuns, type Log, logsOf, SeenFiles } from "./log_names.ts";

/** The files that a job leaves besides its declared outputs; paths are relative to the root. */
export interface JobFiles {
  /** Log files that the job must have written, unless Slurm could not open them. */
  readonly logs: readonly string[];
  /** What Slurm knew of the job, written by `finish`. */
  readonly environment: string;
}

/** Which tasks of an array the files are wanted of. */
export interface WantedTasks {
  readonly tasks: IndexSet;
  /** Whether a log that all tasks write to is wanted too. */
  readonly withShared: boolean;
}

/**
 * Returns where a job's log files are, by what Slurm said of it at submission; those of some tasks
 * where these are given. Logs outside the dataset are none of its files.
 */
export function jobFiles(
  root: string,
  job: RecordedJob,
  wanted?: WantedTasks,
  seen = new SeenFiles(),
): JobFiles {
  const logs = recordedLogs(job) ?? submittedLogs(root, job, seen) ?? defaultLogs(root, job);
  const [first] = logs;
  const beside = first === undefined ? job.record.pwd : parentPath(first.path);
  const own = wanted === undefined
    ? logs
    : logs.filter(({ task }) => task === undefined ? wanted.withShared : wanted.tasks.has(task));
  const base = whereItRuns(root, job);
  return {
    logs: own.filter(({ path, isIdle }) => !isIdle || isThere(`${base}/${path}`))
      .map(({ path }) => path),
    environment: joinPath(beside, `slurm-job-${nameOfJob(job)}.env.json`),
  };
}

/**
 * Returns a job's name in the names of files and branches: its id, and the cluster where sbatch has named
 * one, as jobs of two clusters may have the same id: `45`, `45-other`.
 */
export function nameOfJob({ jobId, record }: Pick<RecordedJob, "jobId" | "record">): string {
  const cluster = record.datalad_slurm?.cluster;
  // The record is data from elsewhere.
  return cluster !== undefined && !isStandIn(cluster) && /^\w[\w-]*$/.test(cluster)
    ? `${jobId}-${cluster}`
    : jobId;
}

/** Records come from elsewhere too: a path that leaves the dataset is not looked at. */
export function isInside(path: string): boolean {
  return !path.startsWith("/") && !path.split("/").some((part) => part === ".git" || part === "..");
}

/** Whether a file of a job's is the one with what Slurm knew of it. */
export function isEnvironment(path: string): boolean {
  return path.endsWith(".env.json");
}

/**
 * Returns the log files that are there where a job runs, or those of some tasks: relative to the
 * root, or absolute where the job runs outside the dataset.
 */
export function logsThere(
  root: string,
  job: RecordedJob,
  wanted?: WantedTasks,
  seen = new SeenFiles(),
): string[] {
  const logs = jobFiles(root, job, wanted, seen).logs.filter(isInside);
  const { alt_dir: altDir } = job.record;
  if (!altDir) return logs.filter((path) => isThere(`${root}/${path}`));
  return logs.map((path) => `${altDir}/${path}`).filter(isThere);
}

/** The records of the DataLad extension name the files themselves. */
function recordedLogs(job: RecordedJob): Log[] | undefined {
  return job.record.slurm_run_outputs?.filter((path) => !isEnvironment(path))
    .map((path) => ({ path, isIdle: false }));
}

function submittedLogs(root: string, job: RecordedJob, seen: SeenFiles): Log[] | undefined {
  const { stdout, stderr } = job.record.datalad_slurm?.job ?? {};
  if (stdout === undefined && stderr === undefined) return undefined;
  const files = seen.below(whereItRuns(root, job));
  return patternsInside(root, job).flatMap((pattern) => logsOf(files, pattern, job));
}

/** Without an answer of Slurm's at submission: the default name, where such a file is. */
function defaultLogs(root: string, job: RecordedJob): Log[] {
  const path = joinPath(job.record.pwd, `slurm-${job.jobId}.out`);
  return isThere(`${root}/${path}`) ? [{ path, isIdle: false }] : [];
}

/** Returns the directory that stands for the dataset's root where a job runs. */
export function whereItRuns(root: string, job: RecordedJob): string {
  return job.record.alt_dir || root;
}

/** Returns the patterns of a job's logs in the dataset, relative to it. */
function patternsInside(root: string, job: RecordedJob): string[] {
  const { stdout, stderr } = job.record.datalad_slurm?.job ?? {};
  // A job that ran elsewhere leaves its logs there, at the place that mirrors the dataset's.
  const { alt_dir: altDir } = job.record;
  return [...new Set([stdout, stderr])].flatMap((pattern) => {
    // A home directory, see impersonal() in submitted_job.ts.
    if (pattern === undefined || pattern.startsWith("~/")) return [];
    if (!pattern.startsWith("/")) return [pattern];
    return pathBelow(root, pattern) ?? (altDir ? pathBelow(altDir, pattern) : undefined) ?? [];
  });
}

/** Returns whether it takes Slurm's word on a job's runs to know the names of its logs. */
export function logsDependOnRuns(
  root: string,
  job: RecordedJob,
  seen = new SeenFiles(),
): boolean {
  const files = seen.below(whereItRuns(root, job));
  return patternsInside(root, job).some((pattern) => dependsOnRuns(files, pattern, job));
}

/** Returns a function that says whether a job may write logs below one of some declared outputs. */
export function logsBelow(
  root: string,
  outputs: readonly string[],
): (job: RecordedJob) => boolean {
  const places = new Set(outputs.map(reservedPath));
  return (job) =>
    patternsInside(root, job).some((pattern) => {
      const names = parentPath(pattern.replace(/%.*$/s, "")).split("/");
      return places.has(".") ||
        names.some((_, at) => places.has(names.slice(0, at + 1).join("/")));
    });
}
