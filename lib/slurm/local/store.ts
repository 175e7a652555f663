import { indices, parseArraySpec } from "../array.ts";
import { FIRST_STAND_IN_ID } from "../stand_in.ts";
import {
  applyChange,
  type Change,
  idCount,
  isDone,
  type Job,
  newJob,
  type Spec,
  WHOLE,
} from "./job.ts";

/**
 * The folder in which the stand-in keeps its jobs. A job is one file below `live/` or, when all of
 * it is over, below `done/`: a line with what was asked for, and a line for each change. Changes
 * are made under a lock that the kernel takes back from a process that dies.
 */
export interface LocalStore {
  readonly directory: string;
  readonly live: string;
  readonly done: string;
  /** What running and waiting jobs need: script, environment, process ids, exit codes. */
  readonly spool: string;
  /** The programs by Slurm's names. */
  readonly bin: string;
  /** Touched to wake the runner. */
  readonly wake: string;
  /** Locked by the runner for as long as it lives, with its pid in it. */
  readonly runner: string;
}

/** Returns the places in a stand-in's folder; nothing is made. */
export function storeAt(directory: string): LocalStore {
  return {
    directory,
    live: `${directory}/live`,
    done: `${directory}/done`,
    spool: `${directory}/spool`,
    bin: `${directory}/bin`,
    wake: `${directory}/wake`,
    runner: `${directory}/runner`,
  };
}

/** Makes the folder where it is missing; jobs' environments are nobody else's business. */
export function makeStore(store: LocalStore): void {
  Deno.mkdirSync(store.directory, { recursive: true, mode: 0o700 });
  for (const path of [store.live, store.done, store.spool, store.bin, store.wake]) {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  }
}

/** Does work while no other process changes the store. */
export function withLock<Result>(store: LocalStore, work: () => Result): Result {
  using file = Deno.openSync(`${store.directory}/lock`, { create: true, write: true });
  file.lockSync(true);
  return work();
}

/** Takes as many ids in a row as a job needs. To be called under the lock. */
export function takeIds(store: LocalStore, spec: Omit<Spec, "jobId">): number {
  const path = `${store.directory}/next-id`;
  const next = Number(readQuietly(path)) || firstId(store);
  writeWhole(path, String(next + idCount({ ...spec, jobId: 0 })));
  return next;
}

/** Where the counter is lost, ids go on behind the highest job there is. */
function firstId(store: LocalStore): number {
  const last = [...liveIds(store), ...doneIds(store)].reduce((a, b) => Math.max(a, b), 0);
  const job = last === 0 ? undefined : readJob(store, last);
  return job === undefined ? FIRST_STAND_IN_ID + 1 : last + idCount(job.spec);
}

/** Puts a new job in. To be called under the lock. */
export function putJob(store: LocalStore, spec: Spec): void {
  writeWhole(`${store.live}/${spec.jobId}`, JSON.stringify(spec));
  noteChange(store);
}

/**
 * Tells the runner, which wakes by it, that somebody else has changed a job. To be called under the
 * same lock as the change, so that the runner never acts on what it knew before.
 */
export function noteChange(store: LocalStore): void {
  Deno.writeTextFileSync(`${store.wake}/changes`, ".", { append: true });
}

/**
 * Notes changes of a job, and moves it aside when all of it is over. To be called under the lock,
 * with the job as it was read under it.
 */
export function changeJob(store: LocalStore, job: Job, changes: readonly Change[]): void {
  const path = `${store.live}/${job.spec.jobId}`;
  const lines = changes.map((change) => `\n${JSON.stringify(change)}`).join("");
  // A newline comes first: a line that was cut short stays alone.
  Deno.writeTextFileSync(path, lines, { append: true, create: false });
  for (const change of changes) applyLine(job, change);
  if (!isDone(job)) return;
  Deno.renameSync(path, `${store.done}/${job.spec.jobId}`);
  removeQuietly(`${store.spool}/${job.spec.jobId}`);
}

/** Returns a job, live or over, or undefined when it is not known. */
export function readJob(store: LocalStore, jobId: number): Job | undefined {
  // Live first and last, since it may be moved just then.
  const text = readQuietly(`${store.live}/${jobId}`) ?? readQuietly(`${store.done}/${jobId}`);
  return text === undefined ? undefined : parseJob(text);
}

/** Returns the live jobs in the order of their submission. */
export function liveJobs(store: LocalStore): Job[] {
  return jobsOf(store, liveIds(store));
}

/** Returns jobs by their ids, without those that are gone. */
export function jobsOf(store: LocalStore, ids: readonly number[]): Job[] {
  return ids.flatMap((id) => readJob(store, id) ?? []);
}

/** Returns the ids of the live jobs, in ascending order. */
export function liveIds(store: LocalStore): number[] {
  return idsIn(store.live);
}

/** Returns the ids of the jobs that are over, in ascending order. */
export function doneIds(store: LocalStore): number[] {
  return idsIn(store.done);
}

/** Returns the ids of the jobs that were over after a time, in seconds since 1970. */
export function doneSince(store: LocalStore, seconds: number): number[] {
  return doneIds(store).filter((id) => {
    try {
      const { mtime } = Deno.statSync(`${store.done}/${id}`);
      return (mtime?.getTime() ?? 0) / 1000 >= seconds;
    } catch {
      return false;
    }
  });
}

/** Returns the job that an id belongs to: a job's own, or that of a task of an array. */
export function findJob(store: LocalStore, id: number): Job | undefined {
  const exact = readJob(store, id);
  if (exact !== undefined) return exact;
  const before = [...liveIds(store), ...doneIds(store)].filter((other) => other < id);
  const nearest = before.reduce((a, b) => Math.max(a, b), 0);
  const job = nearest === 0 ? undefined : readJob(store, nearest);
  return job !== undefined && id < nearest + idCount(job.spec) ? job : undefined;
}

function idsIn(directory: string): number[] {
  const ids: number[] = [];
  try {
    for (const { name } of Deno.readDirSync(directory)) {
      if (/^\d+$/.test(name)) ids.push(Number(name));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return ids.sort((a, b) => a - b);
}

/** Reads a job's file; a line that was cut short by a crash is passed over. */
function parseJob(text: string): Job | undefined {
  const [first = "", ...lines] = text.split("\n");
  const spec = parseQuietly(first) as Spec | undefined;
  if (spec?.version !== 1) return undefined;
  const job = newJob(spec);
  for (const line of lines) {
    const change = parseQuietly(line) as Change | undefined;
    if (change !== undefined) applyLine(job, change);
  }
  return job;
}

function applyLine(job: Job, { tasks, ...change }: Change): void {
  const keys = tasks === undefined ? [WHOLE] : [...indices(parseArraySpec(tasks)?.ranges ?? [])];
  applyChange(job, keys, change);
}

function parseQuietly(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Returns a file's text, or undefined when it is not there. */
export function readQuietly(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a file that others see whole or not at all. */
export function writeWhole(path: string, text: string, mode = 0o600): void {
  const aside = `${path}.${Deno.pid}~`;
  Deno.writeTextFileSync(aside, text, { mode });
  Deno.renameSync(aside, path);
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
