import { formatIndices, formatRanges, type IndexRange, indices } from "../array.ts";

/** What sbatch was asked for; the first line of a job's file. Times are seconds since 1970. */
export interface Spec {
  readonly version: 1;
  /** The job id; of an array the master's. */
  readonly jobId: number;
  readonly name: string;
  readonly array?: { readonly ranges: readonly IndexRange[]; readonly throttle?: number };
  readonly workDir: string;
  /** The batch script and its arguments; absent for `--wrap` and a script from stdin. */
  readonly command?: string;
  readonly args: readonly string[];
  /** argv joined by spaces, as Slurm's accounting has it. */
  readonly submitLine: string;
  /** File name patterns, not expanded. */
  readonly output?: string;
  readonly error?: string;
  readonly input?: string;
  readonly append: boolean;
  readonly umask: number;
  readonly user: string;
  readonly uid: number;
  readonly group: string;
  readonly gid: number;
  readonly host: string;
  readonly session: number;
  readonly submit: number;
  readonly begin?: number;
  readonly minutes?: number;
  readonly held: boolean;
  readonly dependency?: string;
  readonly killInvalid: boolean;
  readonly warning?: { readonly signal: string; readonly seconds: number; readonly batch: boolean };
  readonly partition: string;
  readonly account: string;
  readonly qos: string;
  readonly comment?: string;
  readonly nice: number;
  readonly requeue: boolean;
  readonly tasks?: number;
  readonly cpusPerTask?: number;
  readonly tasksPerNode?: number;
  /** As given: `4G`. */
  readonly memory?: { readonly amount: string; readonly per: "node" | "cpu" };
}

export type LocalState =
  | "PENDING"
  | "RUNNING"
  | "COMPLETED"
  | "FAILED"
  | "CANCELLED"
  | "TIMEOUT"
  | "NODE_FAIL";

/** A job that is no array, or one array task. */
export interface Part {
  readonly state: LocalState;
  /** Whether the task has a record of its own; before, it is one of the array's rest. */
  readonly split?: boolean;
  readonly held?: boolean;
  /** Why a pending part ended; Slurm's reason at its end. */
  readonly reason?: string;
  readonly start?: number;
  readonly end?: number;
  readonly code?: number;
  readonly signal?: number;
  /** When a running part was asked to end by scancel, and the user id of who asked. */
  readonly cancelAt?: number;
  readonly cancelledBy?: number;
  /** When a running part was sent its warning, and SIGTERM, for the runner after this one. */
  readonly warnedAt?: number;
  readonly stoppedAt?: number;
  /** Whether it was stopped at its time limit. */
  readonly isLate?: boolean;
  readonly cpuSeconds?: number;
  readonly rssKib?: number;
}

/** A change of array tasks (`0-4,7`), or without `tasks` of the job that is no array. */
export interface Change extends Partial<Part> {
  readonly tasks?: string;
}

/** A job as it stands. */
export interface Job {
  readonly spec: Spec;
  /** By task index; a job that is no array has the key -1. */
  readonly parts: Map<number, Part>;
}

/** The key of the one part of a job that is no array. */
export const WHOLE = -1;

/** Returns a job as it is submitted. */
export function newJob(spec: Spec): Job {
  const part: Part = { state: "PENDING", held: spec.held };
  const keys = spec.array === undefined ? [WHOLE] : [...indices(spec.array.ranges)];
  return { spec, parts: new Map(keys.map((key) => [key, part])) };
}

/** Applies a change to the parts that it names. */
export function applyChange(job: Job, keys: readonly number[], change: Partial<Part>): void {
  for (const key of keys) {
    const before = job.parts.get(key);
    if (before !== undefined) job.parts.set(key, { ...before, ...change });
  }
}

export function isEnded(state: LocalState): boolean {
  return state !== "PENDING" && state !== "RUNNING";
}

/** Whether nothing of a job can change any more. */
export function isDone(job: Job): boolean {
  for (const { state } of job.parts.values()) if (!isEnded(state)) return false;
  return true;
}

/** Returns how many job ids a job takes. */
export function idCount(spec: Spec): number {
  let count = 0;
  for (const _ of indices(spec.array?.ranges ?? [])) count++;
  return Math.max(1, count);
}

/** Returns the id of a part itself: the last task of an array keeps the master's. */
export function rawId(job: Job, key: number): number {
  if (key === WHOLE) return job.spec.jobId;
  let at = 0;
  for (const index of job.parts.keys()) {
    if (index === key) return at === job.parts.size - 1 ? job.spec.jobId : job.spec.jobId + 1 + at;
    at++;
  }
  return job.spec.jobId;
}

/** Returns the key of the part that has an id of its own, or undefined. */
export function partOfRawId(job: Job, id: number): number | undefined {
  const { jobId, array } = job.spec;
  if (array === undefined) return id === jobId ? WHOLE : undefined;
  const at = id === jobId ? job.parts.size - 1 : id - jobId - 1;
  return [...job.parts.keys()][at];
}

/** One record that Slurm shows: a job, an array task, or the rest of an array in one state. */
export interface Entry {
  readonly job: Job;
  readonly part: Part;
  readonly rawId: number;
  readonly task?: number;
  /** The tasks of the rest of an array with the throttle: `0,4,7-9%3`. */
  readonly tasks?: string;
  /** The indices behind `tasks`. */
  readonly keys: readonly number[];
}

/** Returns the records of a job in Slurm's order: what is left of an array comes last. */
export function entriesOf(job: Job): Entry[] {
  const { spec, parts } = job;
  const single = parts.get(WHOLE);
  if (single !== undefined) {
    return [{ job, part: single, rawId: spec.jobId, keys: [WHOLE] }];
  }
  const entries: Entry[] = [];
  const rest = new Map<LocalState, number[]>();
  let at = 0;
  for (const [task, part] of parts) {
    const own = at++ === parts.size - 1 ? spec.jobId : spec.jobId + at;
    if (part.split === true) entries.push({ job, part, rawId: own, task, keys: [task] });
    else if (rest.get(part.state)?.push(task) === undefined) rest.set(part.state, [task]);
  }
  for (const keys of rest.values()) {
    const part = parts.get(keys[0] ?? WHOLE);
    if (part === undefined) continue;
    const tasks = taskList(spec, keys, parts.size);
    entries.push({ job, part, rawId: spec.jobId, tasks, keys });
  }
  return entries;
}

function taskList(spec: Spec, keys: readonly number[], all: number): string {
  const list = keys.length === all ? formatRanges(spec.array?.ranges ?? []) : formatIndices(keys);
  const throttle = spec.array?.throttle;
  return throttle === undefined ? list : `${list}%${throttle}`;
}

/** Returns the id by which Slurm shows a record: `12`, `12_3`, `12_[4-9%2]`. */
export function shownId({ job, task, tasks }: Entry): string {
  const id = String(job.spec.jobId);
  return task !== undefined ? `${id}_${task}` : tasks !== undefined ? `${id}_[${tasks}]` : id;
}

/** Returns how many CPUs a job asks for. */
export function cpusOf(spec: Spec): number {
  return tasksOf(spec) * (spec.cpusPerTask ?? 1);
}

/** Returns how many tasks (processes that srun would start) a job asks for. */
export function tasksOf(spec: Spec): number {
  return spec.tasks ?? spec.tasksPerNode ?? 1;
}
