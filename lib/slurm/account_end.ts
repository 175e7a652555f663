import { type Accounting, compact, isoTime, type JobAccounting, readTaskLine } from "./account.ts";
import { IndexSet } from "./array.ts";
import type { JobReport } from "./report.ts";
import { classifyState, isOver } from "./states.ts";

/**
 * Returns whether accounting has the end of all of a job that is over by the report: sacct lags
 * behind slurmctld, and shows of an array its last task alone for a second after the end (22.05).
 */
export function knowsEnd(account: JobAccounting | undefined, report: JobReport): boolean {
  if (account === undefined) return false;
  if (report.components !== undefined) {
    const components = Object.values(account.components ?? {});
    const count = report.components.reduce((sum, group) => sum + group.count, 0);
    return components.length >= count && components.every(hasEnded);
  }
  if (report.tasks === undefined) return hasEnded(account);
  const over = report.tasks.filter(({ phase }) => isOver(phase));
  const ended = endedTasks(account);
  return over.every(({ indices }) => IndexSet.of(indices).without(ended).size === 0);
}

function hasEnded({ state }: Accounting): boolean {
  return isOver(classifyState(state ?? "").phase);
}

function endedTasks({ task_states = {} }: JobAccounting): IndexSet {
  const all = new IndexSet();
  for (const [state, indices] of Object.entries(task_states)) {
    if (isOver(classifyState(state).phase)) all.addAll(IndexSet.of(indices));
  }
  return all;
}

/** What accounting cannot have right of a job whose end it does not know. */
const OF_THE_END = [
  "state",
  "exit_code",
  "signal",
  "derived_exit_code",
  "end",
  "elapsed_seconds",
  "cpu_seconds",
  "max_rss_bytes",
  "step_rss_bytes",
] as const;

/**
 * Returns the accounting of a job that is over, with what the report has and accounting has not. The
 * exit code is the report's: sacct before 25.11 shows those from 128 on less 128. Of a job whose end
 * accounting does not know what it says of times and states is the report's, too. What was submitted
 * later is another job, which has got the id again: the report is of the job itself.
 */
export function withReport(account: JobAccounting | undefined, report: JobReport): JobAccounting {
  const isPart = report.tasks !== undefined && account?.tasks === undefined;
  const own = isPart || account === undefined || isLater(account, report) ? {} : account;
  if (report.assumed === true) return own;
  const isSingle = report.tasks === undefined && report.components === undefined;
  const told = compact<Accounting>({
    submit: isoTime(report.submit),
    start: isoTime(report.start),
    end: isoTime(report.end),
    state: isSingle ? report.state : undefined,
  });
  const exit = isSingle
    ? compact<Accounting>({ exit_code: report.exitCode, signal: report.signal })
    : {};
  if (knowsEnd(own, report)) return { ...told, ...own, ...exit };
  const { components = {}, ...rest } = own;
  return {
    ...withoutEnd(rest),
    ...told,
    ...exit,
    ...tasksOf(own, report),
    ...(report.components === undefined ? {} : { components: endOf(components, report) }),
  };
}

/** Both have the newest run of a job that was requeued. */
function isLater({ submit }: Accounting, report: JobReport): boolean {
  return submit !== undefined && report.submit !== undefined &&
    Date.parse(submit) / 1000 > report.submit + 1;
}

function withoutEnd<Known extends Accounting>(account: Known): Known {
  const named: readonly string[] = OF_THE_END;
  // A row of a job that waits has no CPUs.
  return Object.fromEntries(
    Object.entries(account).filter(([name, value]) =>
      !named.includes(name) && !(name === "allocated_cpus" && value === 0)
    ),
  ) as Known;
}

/** Returns the components with the states of the report, where accounting has not their end. */
function endOf(
  components: Readonly<Record<string, Accounting>>,
  { components: groups = [] }: JobReport,
): Record<string, Accounting> {
  return Object.fromEntries(
    groups.flatMap(({ state, indices }) =>
      [...IndexSet.of(indices)].map((offset) => {
        const known = components[offset] ?? {};
        return [String(offset), hasEnded(known) ? known : { ...withoutEnd(known), state }];
      })
    ),
  );
}

/** Returns the tasks of an array with the states of the report, and the lines of those that ended. */
function tasksOf(
  { task_states = {}, tasks = [] }: JobAccounting,
  report: JobReport,
): Pick<JobAccounting, "task_count" | "task_states" | "tasks"> {
  if (report.tasks === undefined) return {};
  const reported = new IndexSet();
  for (const { indices } of report.tasks) reported.addAll(IndexSet.of(indices));
  const states = new Map<string, IndexSet>();
  const add = (state: string, indices: IndexSet) => {
    if (indices.size > 0) states.set(state, (states.get(state) ?? new IndexSet()).addAll(indices));
  };
  for (const [state, indices] of Object.entries(task_states)) {
    add(state, IndexSet.of(indices).without(reported));
  }
  for (const { state, indices } of report.tasks) add(state, IndexSet.of(indices));
  return {
    task_count: [...states.values()].reduce((count, indices) => count + indices.size, 0),
    task_states: Object.fromEntries([...states].map(([state, all]) => [state, `${all}`])),
    tasks: tasks.filter((line) => isOver(classifyState(readTaskLine(line)?.state ?? "").phase)),
  };
}
