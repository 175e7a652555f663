import { finishedTasks, mergeStates, type RecordedJob } from "../dataset/history.ts";
import { submittedTasks } from "../dataset/task_paths.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobReport, TaskGroup } from "../slurm/report.ts";
import { classifyState, isOver } from "../slurm/states.ts";

/**
 * Arrays that are finished in parts. Each part is a commit of its own with the files of its tasks;
 * the one after which no task is open is the job's finish commit, and holds besides what belongs to
 * no task alone.
 */

/** Tasks of an array that are to be finished. */
export interface PlannedPart {
  readonly states: TasksByState;
  /** Those of the tasks that are closed without their files. */
  readonly closed: IndexSet;
  /** All tasks of the array; undefined where it is not known which ones it has. */
  readonly all: IndexSet | undefined;
}

/** Tasks of an array that one commit finishes. */
export interface ArrayPart {
  readonly tasks: IndexSet;
  readonly closed: IndexSet;
  /** Whether the job is finished by it. */
  readonly isLast: boolean;
}

/** Tasks in Slurm's notation by Slurm's word for their state. */
export type TasksByState = Readonly<Record<string, string>>;

/** Returns a report's tasks by state. */
export function statesOf({ tasks = [] }: JobReport): TasksByState {
  return Object.fromEntries(tasks.map(({ state, indices }) => [state, indices]));
}

/** Returns all tasks of an array; undefined where neither its record nor Slurm tells. */
export function allTasks(job: RecordedJob, report: JobReport): IndexSet | undefined {
  const submitted = submittedTasks(job);
  if (submitted !== undefined || report.phase === "unknown") return submitted;
  return union(statesOf(report)).addAll(finishedTasks(job));
}

/**
 * Returns which of the planned tasks are still to be finished, and whether the job is finished by
 * them; undefined when others have finished them all. The job is as it is now in history, which
 * nobody else changes while it is claimed.
 */
export function settlePart(job: RecordedJob, planned: PlannedPart): ArrayPart | undefined {
  const done = finishedTasks(job);
  const tasks = union(planned.states).without(done);
  const isLast = planned.all?.without(done).without(tasks).size === 0;
  if (tasks.size === 0 && !isLast) return undefined;
  return { tasks, closed: planned.closed.without(done), isLast };
}

/** Whether a part has files: its tasks' own, or those that belong to no task alone. */
export function hasFiles(job: RecordedJob, { tasks, closed, isLast }: ArrayPart): boolean {
  if (tasks.size > closed.size) return true;
  return isLast && finishedTasks(job).size > IndexSet.of(job.finished?.closed).size;
}

/** Returns a report on the tasks of a part alone; that of the last one is on the whole array. */
export function reportOfPart(job: RecordedJob, report: JobReport, part: ArrayPart): JobReport {
  const own = Object.entries(statesOf(report)).map(([state, list]) =>
    [state, IndexSet.of(list).within(part.tasks)] as const
  ).filter(([, tasks]) => tasks.size > 0).map(([state, tasks]) => [state, `${tasks}`] as const);
  const states = part.isLast
    ? mergeStates(job.finished?.states ?? {}, Object.fromEntries(own))
    : Object.fromEntries(own);
  const tasks = groupsOf(states);
  // The reason was that of tasks which wait or run, and the exit code is that of those which failed.
  const { reason: _, exitCode, signal, assumed, assumedTasks, ...others } = report;
  const vouchedFor = IndexSet.of(assumedTasks).within(part.tasks);
  const word = assumed === undefined || assumedTasks !== undefined && vouchedFor.size === 0
    ? {}
    : vouchedFor.size === 0
    ? { assumed }
    : { assumed, assumedTasks: `${vouchedFor}` };
  // Of an array that nobody knows the tasks of, those that no part has finished count as well.
  const { phase, state } = report;
  const whole = report.tasks === undefined && phase === "failed"
    ? { phase, state }
    : verdict(tasks);
  const exit = whole.phase === "failed" && exitCode !== undefined && signal !== undefined
    ? { exitCode, signal }
    : {};
  return { ...others, ...exit, ...whole, ...word, tasks };
}

/** Returns the state of a whole whose tasks are all over, in the terms of a report. */
export function verdict(groups: readonly TaskGroup[]): Pick<JobReport, "phase" | "state"> {
  const words = groups.map(({ state }) => state).filter((state) => state !== "COMPLETED");
  const [word, ...others] = words;
  if (word === undefined) return { phase: "completed", state: "COMPLETED" };
  return { phase: "failed", state: others.length === 0 ? word : "FAILED" };
}

/** Returns the tasks of all states in the terms of a report. */
export function groupsOf(states: TasksByState): TaskGroup[] {
  return Object.entries(states).sort(([a], [b]) => a < b ? -1 : 1).map(([state, indices]) => ({
    state,
    phase: classifyState(state).phase,
    indices,
    count: IndexSet.of(indices).size,
  }));
}

/** Returns a report on the tasks of an array that no part has finished yet. */
export function reportOfOpenTasks(job: RecordedJob, report: JobReport): JobReport {
  if (report.tasks === undefined || job.finished === undefined) return report;
  const done = finishedTasks(job);
  const tasks = report.tasks.flatMap((group) => {
    const open = IndexSet.of(group.indices).without(done);
    return open.size === 0 ? [] : [{ ...group, indices: `${open}`, count: open.size }];
  });
  const isAllOver = tasks.every(({ phase }) => isOver(phase));
  if (!isAllOver || report.phase === "unknown" && tasks.length > 0) return { ...report, tasks };
  return { ...report, ...verdict(tasks), tasks };
}

/** Returns the tasks of all states. */
export function union(states: TasksByState): IndexSet {
  const all = new IndexSet();
  for (const list of Object.values(states)) all.addAll(IndexSet.of(list));
  return all;
}
