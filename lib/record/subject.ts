import { malformed, shown } from "./malformed.ts";

/** What a commit of ours records; a `run` is both submission and finish (extension 0.2.5). */
export type RecordKind = "schedule" | "reschedule" | "finish" | "run";

/** What stands above the record in a commit message. */
export interface Heading {
  readonly jobId: string;
  /** Of a part of an array: its tasks as the subject shows them, which may be cut (`0,2,4,...`). */
  readonly tasks?: string;
  /** The state as the subject words it: `Pending`, `Complete`, `Out of memory`. */
  readonly stateWord: string;
  /** The user's own words; absent when there are none. */
  readonly userMessage: string | undefined;
}

const KINDS: Readonly<Record<string, RecordKind>> = {
  "[DATALAD SCHEDULE]": "schedule",
  "[DATALAD RESCHEDULE]": "reschedule",
  "[DATALAD FINISH]": "finish",
  "[DATALAD SLURM RUN]": "run",
};

/** The words before the job id in the subject. */
const PHRASES: Readonly<Record<RecordKind, string>> = {
  schedule: "Submitted batch job ",
  reschedule: "Submitted batch job ",
  finish: "Processed batch job ",
  run: "Slurm job ",
};

/** Returns what a commit message records by its first words, or undefined if it is not ours. */
export function recordKind(message: string): RecordKind | undefined {
  const [tag] = /^\[DATALAD [A-Z ]+\]/.exec(message) ?? [];
  return tag === undefined ? undefined : KINDS[tag];
}

/**
 * Returns the text above the record: the subject `[DATALAD SCHEDULE] Submitted batch job 45:
 * Pending`, and the user's message below it. A finish takes Slurm's word for the state; that of a
 * part of an array names its tasks: `Processed batch job 45_[0-4,7]: Complete`.
 */
export function writeHeading(
  kind: Exclude<RecordKind, "run">,
  jobId: string,
  state: string | undefined,
  userMessage: string | undefined,
  tasks?: string,
): string {
  const subject = kind === "finish"
    ? `[DATALAD FINISH] ${PHRASES.finish}${jobName(jobId, tasks)}: ${stateWord(state)}`
    : `[DATALAD ${kind.toUpperCase()}] ${PHRASES[kind]}${jobId}: Pending`;
  const words = tidy(userMessage ?? "");
  return words === "" ? subject : `${subject}\n\n${words}`;
}

/** A longer list of tasks is cut, as Slurm does; the record has all of it. */
const LONGEST_TASK_LIST = 64;

/**
 * Returns the name of a job, or of tasks of an array, as Slurm writes it: `45`, `45_3`,
 * `45_[0-4,7]`, and `45_[0,2,4,...]` for a list that is too long to show.
 */
export function jobName(jobId: string, tasks?: string): string {
  if (tasks === undefined) return jobId;
  if (/^\d+$/.test(tasks)) return `${jobId}_${tasks}`;
  if (tasks.length <= LONGEST_TASK_LIST) return `${jobId}_[${tasks}]`;
  return `${jobId}_[${tasks.slice(0, tasks.lastIndexOf(",", LONGEST_TASK_LIST) + 1)}...]`;
}

/** Whether the tasks that a subject shows are those of a list, maybe cut. */
export function showsTasks(shown: string, tasks: string): boolean {
  return shown.endsWith("...") ? tasks.startsWith(shown.slice(0, -"...".length)) : shown === tasks;
}

/**
 * Returns the heading of a form that starts with the job and has the user's message below it: ours
 * and that of the extension 0.2.5. Throws a {@link ToolError} that names the commit otherwise.
 */
export function readHeading(commitId: string, kind: RecordKind, head: string): Heading {
  const [subject = "", ...below] = withoutTag(head).split("\n");
  const job = jobAtEnd(kind, subject);
  if (job === undefined || job.before !== "") throw noJob(commitId, subject);
  const { before: _, ...named } = job;
  return { ...named, userMessage: joined(below) };
}

/**
 * Returns the heading of the extension of 2024, where the user's message comes before the job:
 * `[DATALAD SCHEDULE] my words Submitted batch job 45: Pending`. It may have many lines and name
 * other jobs; the last one is meant. Throws a {@link ToolError} that names the commit otherwise.
 */
export function readHeadingOf2024(commitId: string, kind: RecordKind, head: string): Heading {
  const lines = withoutTag(head).split("\n");
  for (let index = lines.length - 1; index >= 0; index--) {
    const job = jobAtEnd(kind, lines[index] ?? "");
    if (job === undefined || job.tasks !== undefined) continue;
    const words = [...lines.slice(0, index), job.before, ...lines.slice(index + 1)];
    return { jobId: job.jobId, stateWord: job.stateWord, userMessage: joined(words) };
  }
  throw noJob(commitId, lines[0] ?? "");
}

/**
 * Reads `… Submitted batch job 45: Pending`, the words of the kind, at the end of a line; only a
 * finish may name tasks: `45_3`, `45_[0-4,7]`, `45_[0,2,4,...]`.
 */
function jobAtEnd(
  kind: RecordKind,
  line: string,
): { before: string; jobId: string; tasks?: string; stateWord: string } | undefined {
  const start = line.lastIndexOf(PHRASES[kind]);
  if (start < 0) return undefined;
  const rest = line.slice(start + PHRASES[kind].length).trim();
  const [, jobId, task, list, stateWord] =
    /^(\d+)(?:_(?:(\d+)|\[(\d[\d,-]*(?:\.\.\.)?)\]))?: ([^:]+)$/.exec(rest) ?? [];
  const tasks = task ?? list;
  if (jobId === undefined || stateWord === undefined) return undefined;
  if (tasks !== undefined && kind !== "finish") return undefined;
  return {
    before: line.slice(0, start).trim(),
    jobId,
    ...(tasks === undefined ? {} : { tasks }),
    stateWord,
  };
}

/**
 * Returns the word that stands for a Slurm state in subjects and for people: `COMPLETED` becomes
 * `Complete`, `OUT_OF_MEMORY` `Out of memory`, `CANCELLED by 1000` `Cancelled`, nothing `Unknown`.
 */
export function stateWord(state: string | undefined): string {
  const [word = "unknown"] = /^[A-Za-z][A-Za-z_ ]*/.exec(state?.replace(/ by .*/s, "") ?? "") ?? [];
  if (word === "COMPLETED") return "Complete";
  const text = word.trim().toLowerCase().replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Git cuts a message at NUL and stores UTF-8: neither NUL nor a lone surrogate can be kept. */
function tidy(userMessage: string): string {
  return userMessage.toWellFormed().replaceAll("\0", "\ufffd").replace(/\r\n?/g, "\n").trim();
}

function withoutTag(head: string): string {
  return head.slice(head.indexOf("]") + 1).trim();
}

function joined(lines: readonly string[]): string | undefined {
  const words = lines.join("\n").trim();
  return words === "" ? undefined : words;
}

function noJob(commitId: string, subject: string): Error {
  return malformed(commitId, `Its subject names no job: ${shown(subject)}`);
}

/** Returns the id of the job that a subject names, or undefined for a commit that is not ours. */
export function jobInSubject(subject: string): string | undefined {
  const kind = recordKind(subject);
  return kind === undefined ? undefined : jobAtEnd(kind, subject)?.jobId;
}
