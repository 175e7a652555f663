import { expandPathOrKeep } from "../dataset/globs.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { placesOf } from "../dataset/task_paths.ts";
import { isThere } from "../files.ts";
import { jobFiles, type WantedTasks, whereItRuns } from "./job_files.ts";
import type { SeenFiles } from "./log_names.ts";

/**
 * What a job left in the file system. It tells that a job ran, not how it ended: no state is derived
 * from it, and a job that Slurm says nothing of stays unknown. A record that the batch script itself
 * leaves in an EXIT trap would be no proof either: bash runs the trap with the status of the last
 * command that ended, 0, when the job is cancelled or out of time.
 */
export interface LeftBehind {
  /** The log file written last, relative to the root; undefined when there is none. */
  readonly log: string | undefined;
  /** When it was written last. */
  readonly logWritten: Date | undefined;
  /** Slurm's last line in it: `*** JOB 5 ON n1 CANCELLED AT … DUE TO TIME LIMIT ***`. */
  readonly lastWords: string | undefined;
  /** The declared outputs that are there, and those that are not. */
  readonly there: readonly string[];
  readonly notThere: readonly string[];
}

/** Of a large array so many logs and outputs of tasks are looked at. */
const MOST_TASKS = 1000;

/** Returns what a job left, where it ran; of an array what the tasks did that are wanted. */
export function leftBehind(
  root: string,
  job: RecordedJob,
  wanted: WantedTasks | undefined,
  seen: SeenFiles,
): LeftBehind {
  const base = whereItRuns(root, job);
  const logs = jobFiles(root, job, wanted, seen).logs.slice(0, MOST_TASKS).flatMap((path) => {
    const written = writtenAt(`${base}/${path}`);
    return written === undefined ? [] : [{ path, written }];
  });
  const newest = logs.reduce<(typeof logs)[number] | undefined>(
    (latest, log) => latest === undefined || log.written > latest.written ? log : latest,
    undefined,
  );
  const declared = job.record.outputs;
  const outputs = wanted === undefined
    ? declared
    : placesOf({ jobId: job.jobId, outputs: declared, ...wanted }).slice(0, MOST_TASKS);
  const isLeft = (output: string) =>
    expandPathOrKeep(base, output).some((path) => isThere(`${base}/${path}`));
  return {
    log: newest?.path,
    logWritten: newest?.written,
    lastWords: newest === undefined ? undefined : lastWordsIn(tail(`${base}/${newest.path}`)),
    there: outputs.filter(isLeft),
    notThere: outputs.filter((output) => !isLeft(output)),
  };
}

function writtenAt(path: string): Date | undefined {
  try {
    return Deno.statSync(path).mtime ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the last line that slurmstepd has put into a log, without its prefix; it expects
 * `slurmstepd: error: *** JOB 31 ON n1 CANCELLED AT 2026-11-24T17:54:16 DUE TO TIME LIMIT ***`
 * (22.05).
 */
export function lastWordsIn(log: string): string | undefined {
  return [...log.matchAll(/^slurmstepd[^:\n]*: (?:error: )?(.*\S)\s*$/gm)].at(-1)?.[1];
}

const TAIL_BYTES = 4096;

function tail(path: string): string {
  try {
    using file = Deno.openSync(path);
    const { size } = file.statSync();
    file.seekSync(Math.max(0, size - TAIL_BYTES), Deno.SeekMode.Start);
    const buffer = new Uint8Array(TAIL_BYTES);
    return new TextDecoder().decode(buffer.subarray(0, file.readSync(buffer) ?? 0));
  } catch {
    return "";
  }
}
