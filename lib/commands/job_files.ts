import type { RecordedJob } from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { isThere } from "../files.ts";
import { joinPath, parentPath, pathBelow } from "../paths.ts";
import type { IndexSet } from "../slurm/array.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { expandPattern, patternGlob } from "../slurm/patterns.ts";

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

/** A log file; of an array the task that alone writes to it, if there is one. */
interface Log {
  readonly path: string;
  readonly task?: number;
}

/**
 * Returns where a job's log files are, by what Slurm said of it at submission; those of some tasks
 * where these are given. Logs outside the dataset are none of its files.
 */
export function jobFiles(root: string, job: RecordedJob, wanted?: WantedTasks): JobFiles {
  const logs = recordedLogs(job) ?? submittedLogs(root, job) ?? defaultLogs(root, job);
  const [first] = logs;
  const beside = first === undefined ? job.record.pwd : parentPath(first.path);
  const own = wanted === undefined
    ? logs
    : logs.filter(({ task }) => task === undefined ? wanted.withShared : wanted.tasks.has(task));
  return {
    logs: own.map(({ path }) => path),
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
export function logsThere(root: string, job: RecordedJob, wanted?: WantedTasks): string[] {
  const logs = jobFiles(root, job, wanted).logs.filter(isInside);
  const { alt_dir: altDir } = job.record;
  if (!altDir) return logs.filter((path) => isThere(`${root}/${path}`));
  return logs.map((path) => `${altDir}/${path}`).filter(isThere);
}

/** The records of the DataLad extension name the files themselves. */
function recordedLogs(job: RecordedJob): Log[] | undefined {
  return job.record.slurm_run_outputs?.filter((path) => !isEnvironment(path))
    .map((path) => ({ path }));
}

function submittedLogs(root: string, job: RecordedJob): Log[] | undefined {
  const known = job.record.datalad_slurm?.job;
  const patterns = [known?.stdout, known?.stderr].filter((path) => path !== undefined);
  if (patterns.length === 0) return undefined;
  return [...new Set(patterns)].flatMap((pattern) => expand(root, job, pattern));
}

/** Without an answer of Slurm's at submission: the default name, where such a file is. */
function defaultLogs(root: string, job: RecordedJob): Log[] {
  const path = joinPath(job.record.pwd, `slurm-${job.jobId}.out`);
  return isThere(`${root}/${path}`) ? [{ path }] : [];
}

/** Stands for the index of any task: no number of ten digits is one, and none is padded. */
const ANY_TASK = 4_111_222_333;

function expand(root: string, job: RecordedJob, pattern: string): Log[] {
  // A job that ran elsewhere leaves its logs there, at the place that mirrors the dataset's.
  const altDir = job.record.alt_dir;
  const inside = pattern.startsWith("/")
    ? pathBelow(root, pattern) ?? (altDir ? pathBelow(altDir, pattern) : undefined)
    : pattern;
  if (inside === undefined) return [];
  const { name } = job.record.datalad_slurm?.job ?? {};
  const tasks = submittedTasks(job);
  const fieldsOf = (task: number | null) => ({
    ...(task === null ? { jobId: job.jobId } : {}),
    arrayJobId: job.jobId,
    arrayTaskId: task,
    ...(name === undefined ? {} : { jobName: name }),
  });
  const some = fieldsOf(tasks === undefined ? null : ANY_TASK);
  const path = expandPattern(inside, some);
  if (path === undefined && parentPath(patternGlob(inside, some)).includes(`${ANY_TASK}`)) {
    return [...tasks ?? []].flatMap((task) =>
      matches(altDir || root, patternGlob(inside, fieldsOf(task))).map((log) => ({ ...log, task }))
    );
  }
  if (path === undefined) return matches(altDir || root, patternGlob(inside, some));
  if (tasks === undefined || !path.includes(`${ANY_TASK}`)) return [{ path }];
  return [...tasks].flatMap((task) => {
    const path = expandPattern(inside, fieldsOf(task));
    return path === undefined ? [] : [{ path, task }];
  });
}

/** Returns the files that match a glob whose directory part holds no wildcard and names no task. */
function matches(root: string, glob: string): Log[] {
  const directory = parentPath(glob);
  const pattern = glob.slice(directory === "." ? 0 : directory.length + 1)
    .replace(/\[(.)\]|([\\^$.|+(){}])/g, (_, bracketed, plain) => `\\${bracketed ?? plain}`)
    .replace(/(?<!\\)\*/g, ".*")
    .replace(`${ANY_TASK}`, "0*(\\d+)")
    .replaceAll(`${ANY_TASK}`, "\\d+");
  const expression = new RegExp(`^${pattern}$`);
  try {
    return [...Deno.readDirSync(directory === "." ? root : `${root}/${directory}`)]
      .flatMap(({ name, isFile }) => {
        const match = isFile ? expression.exec(name) : null;
        if (match === null) return [];
        const task = match[1] === undefined ? {} : { task: Number(match[1]) };
        return [{ path: joinPath(directory, name), ...task }];
      }).sort((a, b) => a.path < b.path ? -1 : 1);
  } catch {
    return [];
  }
}
