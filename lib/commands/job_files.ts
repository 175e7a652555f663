import type { RecordedJob } from "../dataset/history.ts";
import { reservedPath, submittedTasks } from "../dataset/task_paths.ts";
import { isThere } from "../files.ts";
import { isWithin, joinPath, parentPath, pathBelow } from "../paths.ts";
import { IndexSet } from "../slurm/array.ts";
import { isStandIn } from "../slurm/stand_in.ts";
import { expandPattern, type PatternFields, patternGlob } from "../slurm/patterns.ts";

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
  const patterns = logPatterns(job);
  if (patterns.length === 0) return undefined;
  return patterns.flatMap((pattern) => expand(root, job, pattern));
}

function logPatterns(job: RecordedJob): string[] {
  const { stdout, stderr } = job.record.datalad_slurm?.job ?? {};
  return [...new Set([stdout, stderr].filter((path) => path !== undefined))];
}

/** Without an answer of Slurm's at submission: the default name, where such a file is. */
function defaultLogs(root: string, job: RecordedJob): Log[] {
  const path = joinPath(job.record.pwd, `slurm-${job.jobId}.out`);
  return isThere(`${root}/${path}`) ? [{ path }] : [];
}

/**
 * Returns whether the names of a job's logs depend on where it ran, or on the ids that its tasks had:
 * on the node, or of an array on what slurmctld shows as the master's id, which is that of each
 * task (`%j`) or the master's (`%A`).
 */
export function dependsOnRuns(root: string, job: RecordedJob): boolean {
  const isArray = submittedTasks(job) !== undefined;
  return logPatterns(job).some((pattern) => {
    const inside = insideOf(root, job, pattern);
    if (inside === undefined) return false;
    if (/%\d*N/.test(inside)) return true;
    if (!isArray) return false;
    if (/%\d*[jJ]/.test(inside)) return true;
    if (!/%\d*a/.test(inside)) return hasId(inside, job.jobId);
    // Of a task that never started there is none.
    const base = job.record.alt_dir || root;
    return expand(root, job, pattern).some(({ path }) => !isThere(`${base}/${path}`));
  });
}

/** Returns the tasks of an array that never ran, as far as Slurm says so. */
export function idleTasks({ runs, ...job }: RecordedJob): IndexSet {
  const idle = new IndexSet();
  if (runs === undefined) return idle;
  for (const task of submittedTasks(job) ?? []) {
    if (runs.get(task)?.node === undefined) idle.add(task);
  }
  return idle;
}

/** Returns whether a job may write logs among the files that some declared outputs stand for. */
export function logsNear(root: string, job: RecordedJob, outputs: readonly string[]): boolean {
  return logPatterns(job).some((pattern) => {
    const inside = insideOf(root, job, pattern);
    if (inside === undefined) return false;
    const directory = parentPath(inside.replace(/%.*$/s, ""));
    return outputs.map(reservedPath).some((output) =>
      isWithin(directory, output) || isWithin(output, directory)
    );
  });
}

/** Returns whether a job id stands in a name, and not only its digits. */
function hasId(name: string, id: string): boolean {
  return new RegExp(`(?<!\\d)0*${id}(?!\\d)`).test(name);
}

/** Returns the pattern of a log relative to the dataset; undefined where it is elsewhere. */
function insideOf(root: string, job: RecordedJob, pattern: string): string | undefined {
  // A job that ran elsewhere leaves its logs there, at the place that mirrors the dataset's.
  const { alt_dir: altDir } = job.record;
  return pattern.startsWith("/")
    ? pathBelow(root, pattern) ?? (altDir ? pathBelow(altDir, pattern) : undefined)
    : pattern;
}

function expand(root: string, job: RecordedJob, pattern: string): Log[] {
  const inside = insideOf(root, job, pattern);
  if (inside === undefined) return [];
  const tasks: Iterable<number | null> = submittedTasks(job) ?? [null];
  const writers = new Map<string, (number | null)[]>();
  for (const task of tasks) {
    for (const path of namesOf(job.record.alt_dir || root, job, inside, task)) {
      const others = writers.get(path);
      if (others === undefined) writers.set(path, [task]);
      else others.push(task);
    }
  }
  return [...writers].map(([path, [task, ...others]]) =>
    typeof task !== "number" || others.length > 0 ? { path } : { path, task }
  );
}

/** `%b` has a meaning to the newer one. */
const VERSIONS = ["22.05", "24.05"];

/**
 * Returns the name of one task's log: of those that it can have the one that is there, else the first;
 * none for a task that never started. Where the node is not told, or has another name than its host,
 * the job's id must be in the name, or it may be another job's.
 */
function namesOf(base: string, job: RecordedJob, pattern: string, task: number | null): string[] {
  const { name } = job.record.datalad_slurm?.job ?? {};
  const run = job.runs?.get(task);
  const jobId = task === null ? job.jobId : run?.jobId;
  const isIdle = job.runs !== undefined && task !== null && run?.node === undefined;
  const hasNode = /%\d*N/.test(pattern);
  const fields: PatternFields = {
    ...(jobId === undefined ? {} : { jobId }),
    arrayJobId: job.jobId,
    arrayTaskId: task,
    ...(name === undefined ? {} : { jobName: name }),
  };
  const shapes = [pattern, ...run === undefined || isIdle ? [] : paddedShapes(pattern)];
  const node = run?.node === undefined ? {} : { node: run.node };
  const names = shapes.flatMap((shape) =>
    VERSIONS.flatMap((slurmVersion) =>
      expandPattern(shape, { ...fields, ...node, slurmVersion }) ?? []
    )
  );
  const likely = names[0] ?? pattern;
  if (job.runs === undefined && !hasNode) return [likely];
  const withOwn = (shown: readonly string[]) => [
    ...shown.flatMap((one) => withOwnId(one, job.jobId, jobId)),
    ...shown,
  ];
  const there = withOwn(names).find((path) => isThere(`${base}/${path}`));
  if (there !== undefined) return [there];
  const globs = hasNode ? withOwn(shapes.map((shape) => patternGlob(shape, fields))) : [];
  for (const glob of globs) {
    const file = glob.slice(parentPath(glob).length);
    const found = hasId(file, job.jobId) || hasId(file, jobId ?? "-") ? matches(base, glob) : [];
    if (found.length > 0) return found;
  }
  return isIdle ? [] : [likely];
}

/** What Slurm pads the index of a task to at most, in digits. */
const WIDEST = 10;

/** Returns patterns with the index padded: slurmctld shows no width of one that is not given (24.11). */
function paddedShapes(pattern: string): string[] {
  if (!pattern.includes("%a")) return [];
  const widths = Array.from({ length: WIDEST - 1 }, (_, at) => at + 2);
  return widths.map((width) => pattern.replaceAll("%a", `%${width}a`));
}

/**
 * Returns a name with a task's own id, as wide, in the place of the array's: wherever that stands, and
 * in some of the places only.
 */
function withOwnId(name: string, arrayId: string, own: string | undefined): string[] {
  if (own === undefined || own === arrayId) return [];
  const [start = "", ...rest] = name.split(new RegExp(`(?<!\\d)(0*${arrayId})(?!\\d)`));
  let names = [start];
  for (let at = 0; at < rest.length; at += 2) {
    const [shown = "", part = ""] = rest.slice(at, at + 2);
    const ids = [own.padStart(shown.length, "0"), shown];
    names = names.flatMap((before) => ids.map((id) => `${before}${id}${part}`));
  }
  return names.filter((other) => other !== name);
}

/** Returns the files that match a glob whose directory part holds no wildcard. */
function matches(root: string, glob: string): string[] {
  const directory = parentPath(glob);
  const pattern = glob.slice(directory === "." ? 0 : directory.length + 1)
    .replace(/\[(.)\]|([\\^$.|+(){}])/g, (_, bracketed, plain) => `\\${bracketed ?? plain}`)
    .replace(/(?<!\\)\*/g, "[\\w.-]+");
  const expression = new RegExp(`^${pattern}$`);
  try {
    return [...Deno.readDirSync(directory === "." ? root : `${root}/${directory}`)]
      .filter(({ name, isFile }) => isFile && expression.test(name))
      .map(({ name }) => joinPath(directory, name)).sort();
  } catch {
    return [];
  }
}
