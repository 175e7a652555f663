import { formatIndices, type IndexRange, IndexSet, indices, parseArraySpec } from "./array.ts";
import { larger, smaller } from "./extremes.ts";
import type { ExitStatus, JobReference } from "./fields.ts";
import { isLive, isOver, type JobPhase, type JobState, UNKNOWN_STATE } from "./states.ts";

/** The program that a state comes from. */
export type Source = "sacct" | "squeue" | "scontrol";

/** The state of a job, an array task, several tasks or a component, as one program gave it. */
export interface StateRow {
  readonly source: Source;
  readonly reference: JobReference;
  /** The id that Slurm has for the record itself. */
  readonly rawId: string | undefined;
  readonly state: JobState;
  readonly exit: ExitStatus | undefined;
  /** Times in seconds since 1970. */
  readonly submit: number | undefined;
  readonly start: number | undefined;
  readonly end: number | undefined;
  readonly reason: string | undefined;
  /** The state that ended the run before this one, where Slurm has requeued the job. */
  readonly requeuedAfter?: string;
  /** The live state that accounting has, and slurmctld knows nothing of. */
  readonly runaway?: string;
  /** How often slurmctld has requeued the job; scontrol alone says so. */
  readonly restarts?: number | undefined;
  /** The tasks whose own rows all say this: the first of their starts, the last of their ends. */
  readonly alike?: readonly number[];
}

/** A job whose state is wanted. */
export interface JobQuery {
  readonly jobId: string;
  readonly cluster?: string;
  /** When it was submitted, so that rows of an earlier use of the id are told apart. */
  readonly submittedAt?: Date;
  /** The submit time that slurmctld gave then, so that rows of a later use are told apart. */
  readonly slurmSubmit?: Date;
  /** The array specification at submission (`0-99:2%5`); without it an array is taken as found. */
  readonly expected?: string;
  /** How many components a heterogeneous job has; without it these are taken as found. */
  readonly components?: number;
}

/** The array tasks (or components) of one state. */
export interface TaskGroup {
  readonly state: string;
  readonly phase: JobPhase;
  /** Indices in Slurm's notation: `0-4,7`. */
  readonly indices: string;
  readonly count: number;
}

/** What Slurm says about one job, and who said it. */
export interface JobReport {
  readonly jobId: string;
  readonly cluster?: string;
  readonly phase: JobPhase;
  /** Slurm's word; of an array the word that all tasks which did not complete share. */
  readonly state: string;
  /** Slurm's reason for a live job, or why the state is not known, for people. */
  readonly reason?: string;
  /** Slurm's word for the end of the run before, where it has requeued the job. */
  readonly requeuedAfter?: string;
  readonly source?: Source;
  /** Times in seconds since 1970; the end of an array only when all of it has ended. */
  readonly submit?: number;
  readonly start?: number;
  readonly end?: number;
  /**
   * Of an array that of the tasks which failed, where they share it; sacct before 25.11 shows
   * `exit 130` as signal-free code 2.
   */
  readonly exitCode?: number;
  readonly signal?: number;
  /** The tasks of an array by state; those without an answer are `UNKNOWN`. */
  readonly tasks?: readonly TaskGroup[];
  /** The components of a heterogeneous job by state. */
  readonly components?: readonly TaskGroup[];
  /** Whether the state is the user's word, where Slurm has none. */
  readonly assumed?: boolean;
  /** The tasks of an array of which that is so, in Slurm's notation. */
  readonly assumedTasks?: string;
}

/** Returns whether a job is pending and can never start, unless somebody changes it. */
export function neverStarts({ phase, reason }: JobReport): boolean {
  return phase === "pending" && /\bDependencyNeverSatisfied\b/.test(reason ?? "");
}

/** A row may be older than the submission by the difference of two clocks, in seconds. */
export const CLOCK_SLACK = 300;

/** The states of one job's parts, gathered from several programs. */
export interface Gathered {
  readonly query: JobQuery;
  readonly kind: "job" | "array" | "components";
  /** By task index or component offset; a plain job has the key -1. */
  readonly parts: ReadonlyMap<number, StateRow>;
  /** The indices that must have a state; undefined when that is not known. */
  readonly expected: readonly IndexRange[] | undefined;
  /** A row that is of another job, which has got the same id since. */
  readonly laterUse: StateRow | undefined;
}

const WHOLE = -1;

/**
 * Returns the parts of a job with the state that counts for each. Rows come from sacct, squeue and
 * scontrol in the order in which these were asked: a later live state replaces an earlier one (the
 * job was requeued), a later terminal state only an earlier one that was not.
 */
export function gather(query: JobQuery, rows: readonly StateRow[]): Gathered {
  const spec = query.expected === undefined ? undefined : parseArraySpec(query.expected);
  const notEarlier = rows.filter((row) => !isEarlierUse(query, row));
  const laterUse = findLaterUse(query, notEarlier);
  const current = laterUse === undefined
    ? notEarlier
    : notEarlier.filter((row) => !isLater(query, row));
  const own = current.map((row) => asOwn(query, row));
  const kind = spec !== undefined || own.some(({ reference }) => isTask(reference))
    ? "array"
    : componentsOf(query) !== undefined ||
        own.some(({ reference }) => reference.component !== undefined)
    ? "components"
    : "job";
  const submitted = spec && new IndexSet(spec.ranges);
  const parts = new Map<number, StateRow>();
  // Newest last; a record of many tasks gives way to the tasks' own records, whatever its place.
  const singles = own.filter(({ reference }) => reference.tasks === undefined);
  for (const row of singles) {
    const keys = row.alike ?? keyOf(kind, row.reference);
    place(parts, within(submitted, keys), row);
  }
  if (kind === "array") {
    for (const row of own) placeTasks(parts, row, submitted);
  }
  const components = componentsOf(query);
  const expected = { job: WHOLE_RANGES, array: spec?.ranges, components }[kind];
  return { query, kind, parts, expected, laterUse };
}

const WHOLE_RANGES: readonly IndexRange[] = [{ first: WHOLE, last: WHOLE, step: 1 }];

/** A heterogeneous job has so many components at most (MAX_HET_JOB_COMPS, 20.11 to 25.11). */
const MOST_COMPONENTS = 128;

function componentsOf({ components = 0 }: JobQuery): readonly IndexRange[] | undefined {
  const isPossible = components > 0 && components <= MOST_COMPONENTS;
  return isPossible ? [{ first: 0, last: components - 1, step: 1 }] : undefined;
}

/** Returns whether a row is of a job that had the same id long before. */
export function isEarlierUse(
  { submittedAt }: JobQuery,
  { submit }: Pick<StateRow, "submit">,
): boolean {
  if (submittedAt === undefined || submit === undefined) return false;
  return submit < submittedAt.getTime() / 1000 - CLOCK_SLACK;
}

/** Returns whether a row is of a job submitted after ours: ours requeued, or another one. */
function isLater({ slurmSubmit }: JobQuery, { submit }: StateRow): boolean {
  return slurmSubmit !== undefined && submit !== undefined &&
    submit > slurmSubmit.getTime() / 1000 + 1;
}

/** Slurm forgets a job soon after its end (MinJobAge, in seconds), and can requeue it until then. */
const REQUEUE_WINDOW = 3600;

/**
 * Returns a row of another job that has got our id since, or undefined when there is none. Slurm
 * gives a job that it requeues a new submit time: a later row is of our job if scontrol counts a
 * restart, or accounting has an earlier run that ended not long before. A slurmctld that has lost
 * its state gives the ids again at once, and has accounting call cancelled what was running (22.05).
 */
function findLaterUse(query: JobQuery, rows: readonly StateRow[]): StateRow | undefined {
  const later = rows.filter((row) => isLater(query, row));
  const [first] = later;
  if (first === undefined || later.some(({ restarts }) => (restarts ?? 0) > 0)) return undefined;
  const since = Math.min(...later.map(({ submit }) => submit ?? Infinity));
  const wasRequeued = rows.some((row) =>
    row.source === "sacct" && !isLater(query, row) &&
    (row.state.word === "REQUEUED" ||
      isOver(row.state.phase) && row.state.word !== "CANCELLED" &&
        (row.end ?? 0) > since - REQUEUE_WINDOW)
  );
  return wasRequeued ? undefined : first;
}

/** An array task or component that was asked for by its raw id is a job of its own. */
function asOwn(query: JobQuery, row: StateRow): StateRow {
  return row.reference.jobId === query.jobId ? row : { ...row, reference: { jobId: query.jobId } };
}

function isTask(reference: JobReference): boolean {
  return reference.task !== undefined || reference.tasks !== undefined;
}

function keyOf(kind: Gathered["kind"], reference: JobReference): number[] {
  const key = kind === "array"
    ? reference.task
    : kind === "components"
    ? reference.component
    : WHOLE;
  return key === undefined ? [] : [key];
}

/** Yields the keys that were submitted; all of them where that is not known. */
function* within(
  submitted: IndexSet | undefined,
  keys: Iterable<number>,
): Generator<number, undefined> {
  for (const key of keys) if (submitted?.has(key) !== false) yield key;
}

/** Gives a row to the parts it is about, which share it: an array has many of them. */
function place(parts: Map<number, StateRow>, keys: Iterable<number>, row: StateRow): void {
  const requeued = new Map<string, StateRow>();
  for (const key of keys) {
    const before = parts.get(key);
    if (before !== undefined && !counts(row, before)) {
      if (isSameEnd(row, before)) parts.set(key, { ...before, exit: row.exit });
      continue;
    }
    const requeuedAfter = row.requeuedAfter ?? before?.requeuedAfter ?? earlierRun(row, before);
    if (requeuedAfter === undefined) parts.set(key, row);
    else {
      const again = requeued.get(requeuedAfter) ?? { ...row, requeuedAfter };
      requeued.set(requeuedAfter, again);
      parts.set(key, again);
    }
  }
}

/** Returns whether a row counts rather than the one that was there before. */
function counts(row: StateRow, before: StateRow): boolean {
  if (before.state.phase === "unknown") return true;
  if (before.source === row.source) return (row.submit ?? 0) >= (before.submit ?? 0);
  if (isLive(row.state.phase)) return true;
  if (!isOver(row.state.phase)) return false;
  return isLive(before.state.phase) || before.exit === undefined && row.exit !== undefined;
}

/** Returns whether scontrol, whose exit codes are right, tells of the end that sacct has told of. */
function isSameEnd(row: StateRow, before: StateRow): boolean {
  return row.source === "scontrol" && row.exit !== undefined && isOver(row.state.phase) &&
    row.state.word === before.state.word;
}

/** Returns the word of the row before, where that is of a run which has ended in a requeue. */
function earlierRun(row: StateRow, before: StateRow | undefined): string | undefined {
  if (before === undefined) return undefined;
  const { word, phase, mayBeRequeued } = before.state;
  // Slurm gives a requeued job a new submit time.
  const isLater = (row.submit ?? 0) > (before.submit ?? Infinity);
  const ended = word === "REQUEUED" || mayBeRequeued && isLive(row.state.phase) ||
    isLater && isOver(phase);
  return ended && row.state.word !== word ? word : undefined;
}

/** Gives the state of a record of many tasks to those that have none of their own. */
function placeTasks(
  parts: Map<number, StateRow>,
  row: StateRow,
  submitted: IndexSet | undefined,
): void {
  if (row.reference.tasks === undefined) return;
  const list = row.reference.tasks;
  // A list that Slurm has cut (`6,8,13...`) stands for all that is left of the array.
  const listed = list.endsWith("...")
    ? submitted ?? IndexSet.of(list.replace(/[^,]*$/, ""))
    : IndexSet.of(list);
  place(parts, withoutOwnRow(parts, within(submitted, listed)), row);
}

function* withoutOwnRow(
  parts: ReadonlyMap<number, StateRow>,
  keys: Iterable<number>,
): Generator<number, undefined> {
  for (const key of keys) {
    const before = parts.get(key);
    if (before === undefined || before.reference.tasks !== undefined) yield key;
  }
}

/** Returns the rows of all parts, each row once. */
function rowsOf({ parts }: Gathered): StateRow[] {
  return [...new Set(parts.values())];
}

/** Returns the indices that must have a state and have none. */
export function missing({ expected, parts }: Gathered): number[] {
  return expected === undefined ? [] : [...indices(expected)].filter((key) => !parts.has(key));
}

/**
 * Returns whether slurmctld has to be asked after sacct: no answer, an answer with gaps or unknown
 * words, a live state, a terminal state after which Slurm may run the job again, a later job of the
 * same id, or the end of an array whose indices are not known. slurmctld alone knows what is live: accounting keeps a job
 * for ever as it was when its end did not reach it.
 */
export function needsController(gathered: Gathered): boolean {
  const rows = rowsOf(gathered);
  if (gathered.laterUse !== undefined || rows.length === 0 || missing(gathered).length > 0) {
    return true;
  }
  if (rows.some(({ state }) => !isOver(state.phase) || state.mayBeRequeued)) return true;
  return gathered.expected === undefined;
}

/**
 * Returns the report on a job. `controllerAsked` says that slurmctld has answered, so that what it
 * did not name is not live; `said` is what the programs answered, for the reason of an unknown
 * state.
 */
export function report(
  asGathered: Gathered,
  controllerAsked: boolean,
  said: readonly string[],
): JobReport {
  const gathered = controllerAsked ? withRunaways(asGathered) : asGathered;
  const { query, kind, parts } = gathered;
  const rows = rowsOf(gathered);
  const gaps = missing(gathered);
  const doubts = doubtsOf(gathered, gaps, controllerAsked);
  const phase = combinedPhase(rows, doubts.length > 0);
  const state = combinedState(rows, phase);
  const reason = phase === "unknown"
    ? [...doubts, ...said].join("; ")
    : isLive(phase) && !controllerAsked
    ? [liveReason(rows, phase) ?? [], said].flat().join("; ")
    : liveReason(rows, phase);
  const { requeuedAfter } = rows.find((row) => row.state.phase === phase) ?? {};
  const groups = kind === "job" ? undefined : groupsOf(parts, gaps, controllerAsked);
  const exit = kind === "job" ? rows[0]?.exit : kind === "array" ? sharedExit(rows) : undefined;
  const end = isOver(phase) ? extreme(rows, "end", larger) : undefined;
  const start = extreme(rows, "start", smaller);
  const submit = extreme(rows, "submit", smaller);
  return {
    jobId: query.jobId,
    ...(query.cluster === undefined ? {} : { cluster: query.cluster }),
    phase,
    state,
    ...(reason === undefined || reason === "" ? {} : { reason }),
    ...(requeuedAfter === undefined ? {} : { requeuedAfter }),
    ...(rows[0] === undefined ? {} : { source: rows.at(-1)?.source ?? rows[0].source }),
    ...(submit === undefined ? {} : { submit }),
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(exit === undefined || !isOver(phase) ? {} : { exitCode: exit.code, signal: exit.signal }),
    ...(groups === undefined ? {} : kind === "array" ? { tasks: groups } : { components: groups }),
  };
}

/**
 * Returns parts in which what is live by accounting alone is unknown: slurmctld was asked and does
 * not have it. Slurm calls such records runaway jobs; for a while after a job's end it may also be
 * that slurmdbd was down and has not been told yet.
 */
function withRunaways(gathered: Gathered): Gathered {
  const runaways = new Map(
    rowsOf(gathered)
      .filter(({ source, state }) => source === "sacct" && isLive(state.phase))
      .map((row) => [row, { ...row, state: UNKNOWN_STATE, runaway: row.state.word }] as const),
  );
  if (runaways.size === 0) return gathered;
  const parts = new Map<number, StateRow>();
  for (const [key, row] of gathered.parts) parts.set(key, runaways.get(row) ?? row);
  return { ...gathered, parts };
}

/** Says, for people, why a job that shows no live part cannot be called over. */
function doubtsOf(gathered: Gathered, gaps: readonly number[], controllerAsked: boolean): string[] {
  const rows = rowsOf(gathered);
  const doubts: string[] = [];
  if (rows.length > 0 && gaps.length > 0) {
    const isArray = gathered.kind === "array";
    doubts.push(
      `No state is known of ${gaps.length} ${isArray ? "array task" : "component"}` +
        `${gaps.length === 1 ? "" : "s"} (${shortened(formatIndices(gaps))})` +
        // Of a waiting task that is cancelled by its index nothing is kept anywhere (22.05).
        (controllerAsked && isArray
          ? ", which is so of tasks that are cancelled before they start"
          : ""),
    );
  } else if (rows.length === 0) {
    const again = gathered.laterUse?.submit;
    doubts.push(
      again === undefined
        ? "Slurm tells of no such job"
        : "Slurm has used the id again, for a job submitted at " +
          `${new Date(again * 1000).toISOString().slice(0, 19)}Z, and names no other`,
    );
  }
  for (const word of new Set(rows.flatMap(({ runaway }) => runaway ?? []))) {
    doubts.push(
      `Accounting has ${word}, but slurmctld does not know the job: its end has not reached ` +
        "accounting yet, or never will (a runaway job)",
    );
  }
  const words = new Set(
    rows.filter(({ state, runaway }) => state.phase === "unknown" && runaway === undefined)
      .map(({ state }) => state.word),
  );
  for (const word of words) {
    doubts.push(`${JSON.stringify(word)} is not a state this tool can judge`);
  }
  if (controllerAsked) return doubts;
  const requeued = rows.find(({ state }) => state.mayBeRequeued);
  if (requeued !== undefined) {
    doubts.push(`After ${requeued.state.word} the job may have been requeued`);
  }
  if (gathered.expected === undefined && rows.length > 0) {
    doubts.push("Which array tasks or components belong to the job is not known");
  }
  return doubts;
}

function shortened(list: string): string {
  return list.length > 100 ? `${list.slice(0, 100)}…` : list;
}

function combinedPhase(rows: readonly StateRow[], inDoubt: boolean): JobPhase {
  const has = (phase: JobPhase) => rows.some(({ state }) => state.phase === phase);
  if (has("running")) return "running";
  if (has("pending")) return "pending";
  if (inDoubt || rows.length === 0 || has("unknown")) return "unknown";
  return has("failed") ? "failed" : "completed";
}

/** Returns how all tasks that failed have ended; undefined where they differ. */
function sharedExit(rows: readonly StateRow[]): ExitStatus | undefined {
  const [first, ...others] = rows.filter(({ state }) => state.phase === "failed");
  const isShared = others.every(({ exit }) =>
    exit?.code === first?.exit?.code && exit?.signal === first?.exit?.signal
  );
  return isShared ? first?.exit : undefined;
}

function combinedState(rows: readonly StateRow[], phase: JobPhase): string {
  const words = new Set(
    rows.filter(({ state }) => state.phase === phase).map(({ state }) => state.word),
  );
  const [word, ...others] = words;
  if (word === undefined) return UNKNOWN_STATE.word;
  if (others.length === 0) return word;
  return {
    pending: "PENDING",
    running: "RUNNING",
    completed: "COMPLETED",
    failed: "FAILED",
    unknown: "UNKNOWN",
  }[phase];
}

function liveReason(rows: readonly StateRow[], phase: JobPhase): string | undefined {
  if (phase === "completed") return undefined;
  return rows.find(({ state, reason }) => state.phase === phase && reason !== undefined)?.reason;
}

function groupsOf(
  parts: ReadonlyMap<number, StateRow>,
  gaps: readonly number[],
  controllerAsked: boolean,
): TaskGroup[] {
  const byWord = new Map<string, { phase: JobPhase; keys: IndexSet }>();
  for (const [key, { state }] of parts) {
    const phase = state.mayBeRequeued && !controllerAsked ? "unknown" : state.phase;
    const group = byWord.get(state.word) ?? { phase, keys: new IndexSet() };
    byWord.set(state.word, group);
    group.keys.add(key);
  }
  if (gaps.length > 0) {
    const { keys } = byWord.get(UNKNOWN_STATE.word) ?? { keys: new IndexSet() };
    for (const gap of gaps) keys.add(gap);
    byWord.set(UNKNOWN_STATE.word, { phase: "unknown", keys });
  }
  return [...byWord].sort(([a], [b]) => a < b ? -1 : 1).map(([state, { phase, keys }]) => ({
    state,
    phase,
    indices: `${keys}`,
    count: keys.size,
  }));
}

function extreme(
  rows: readonly StateRow[],
  field: "submit" | "start" | "end",
  choose: typeof larger<number>,
): number | undefined {
  return rows.reduce<number | undefined>((found, row) => choose(found, row[field]), undefined);
}
