import type { RecordedJob } from "../dataset/history.ts";
import { isThere } from "../files.ts";
import { joinPath, parentPath, pathBelow } from "../paths.ts";
import { indices, parseArraySpec } from "../slurm/array.ts";
import { expandPattern, patternGlob } from "../slurm/patterns.ts";

/** The files that a job leaves besides its declared outputs; paths are relative to the root. */
export interface JobFiles {
  /** Log files that the job must have written, unless Slurm could not open them. */
  readonly logs: readonly string[];
  /** What Slurm knew of the job, written by `finish`. */
  readonly environment: string;
}

/**
 * Returns where a job's log files are, by what Slurm said of it at submission. Logs outside the
 * dataset are none of its files.
 */
export function jobFiles(root: string, job: RecordedJob): JobFiles {
  const logs = recordedLogs(job) ?? submittedLogs(root, job) ?? defaultLogs(root, job);
  const [first] = logs;
  const beside = first === undefined ? job.record.pwd : parentPath(first);
  return { logs, environment: joinPath(beside, `slurm-job-${job.jobId}.env.json`) };
}

/** The records of the DataLad extension name the files themselves. */
function recordedLogs(job: RecordedJob): string[] | undefined {
  return job.record.slurm_run_outputs?.filter((path) => !path.endsWith(".env.json"));
}

function submittedLogs(root: string, job: RecordedJob): string[] | undefined {
  const known = job.record.datalad_slurm?.job;
  const patterns = [known?.stdout, known?.stderr].filter((path) => path !== undefined);
  if (patterns.length === 0) return undefined;
  return [...new Set(patterns)].flatMap((pattern) => expand(root, job, pattern));
}

/** Without an answer of Slurm's at submission: the default name, where such a file is. */
function defaultLogs(root: string, job: RecordedJob): string[] {
  const path = joinPath(job.record.pwd, `slurm-${job.jobId}.out`);
  return isThere(`${root}/${path}`) ? [path] : [];
}

function expand(root: string, job: RecordedJob, pattern: string): string[] {
  // A job that ran elsewhere leaves its logs there, at the place that mirrors the dataset's.
  const altDir = job.record.alt_dir;
  const inside = pattern.startsWith("/")
    ? pathBelow(root, pattern) ?? (altDir ? pathBelow(altDir, pattern) : undefined)
    : pattern;
  if (inside === undefined) return [];
  const { array, name } = job.record.datalad_slurm?.job ?? {};
  const tasks = array === undefined ? [null] : [...indices(parseArraySpec(array)?.ranges ?? [])];
  const paths = tasks.flatMap((task) => {
    const fields = {
      ...(task === null ? { jobId: job.jobId } : {}),
      arrayJobId: job.jobId,
      arrayTaskId: task,
      ...(name === undefined ? {} : { jobName: name }),
    };
    const path = expandPattern(inside, fields);
    return path === undefined ? matches(altDir || root, patternGlob(inside, fields)) : [path];
  });
  return [...new Set(paths)];
}

/** Returns the files that match a glob whose directory part holds no wildcard. */
function matches(root: string, glob: string): string[] {
  const directory = parentPath(glob);
  const expression = new RegExp(
    `^${
      glob.slice(directory === "." ? 0 : directory.length + 1)
        .replace(/\[(.)\]|([\\^$.|+(){}])/g, (_, bracketed, plain) => `\\${bracketed ?? plain}`)
        .replace(/(?<!\\)\*/g, ".*")
    }$`,
  );
  try {
    return [...Deno.readDirSync(directory === "." ? root : `${root}/${directory}`)]
      .filter(({ name, isFile }) => isFile && expression.test(name))
      .map(({ name }) => joinPath(directory, name)).sort();
  } catch {
    return [];
  }
}
