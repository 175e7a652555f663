import { ToolError } from "../errors.ts";
import { jobName, stateWord } from "../record/subject.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobReport, TaskGroup } from "../slurm/report.ts";
import { isLive, isOver, UNKNOWN_STATE } from "../slurm/states.ts";
import { verdict } from "./array_parts.ts";

/** A state that a user may vouch for. */
export type AssumedPhase = "completed" | "failed";

/** What a user vouches for. */
export interface Assumption {
  readonly phase: AssumedPhase;
  /** The tasks that are named, of an array of which not all are meant. */
  readonly named: IndexSet | undefined;
  /** Whether tasks are finished before the others. */
  readonly byTask: boolean;
}

/**
 * Puts the user's word in the place of a state that Slurm does not know; of an array in that of the
 * tasks whose state is not known, all of them or those named. Throws a {@link ToolError} where Slurm
 * knows better: the job is live, or has ended in another way.
 */
export function assumeState(report: JobReport, assumption: Assumption): JobReport {
  const { phase, named, byTask } = assumption;
  const state = phase.toUpperCase();
  const groups = report.tasks ?? tasksOnlyNamed(report, named);
  if (groups === undefined) {
    if (report.phase !== "unknown") return ifAgreed(report, report, assumption);
    return { ...report, phase, state, assumed: true };
  }
  const vouchedFor = new IndexSet();
  const known: TaskGroup[] = [];
  for (const group of groups) {
    const tasks = IndexSet.of(group.indices);
    const assumed = group.phase !== "unknown"
      ? new IndexSet()
      : named === undefined
      ? tasks
      : tasks.within(named);
    const others = tasks.without(assumed);
    vouchedFor.addAll(assumed);
    if (others.size > 0) known.push({ ...group, indices: `${others}`, count: others.size });
  }
  if (vouchedFor.size === 0) {
    const meant = known.flatMap((group) => {
      const tasks = named && IndexSet.of(group.indices).within(named);
      return tasks?.size === 0 ? [] : [{ ...group, indices: `${tasks ?? group.indices}` }];
    });
    return ifAgreed(report, named === undefined ? report : wholeOf(meant), assumption);
  }
  const live = known.find((group) => isLive(group.phase));
  if (live !== undefined && named === undefined && !byTask) {
    // The array stays open as a whole then, and the user's word would be lost.
    throw new ToolError(
      "refused",
      `Slurm knows the state of job ${jobName(report.jobId, live.indices)}: ` +
        stateWord(live.state),
      {
        hint: "Name the tasks whose end Slurm does not know: finish --assume-state " +
          `${phase} '${report.jobId}_[${vouchedFor}]'`,
      },
    );
  }
  const same = known.find((group) => group.state === state);
  const all = IndexSet.of(same?.indices).addAll(vouchedFor);
  const tasks = [
    ...known.filter((group) => group !== same),
    { state, phase, indices: `${all}`, count: all.size },
  ].sort((a, b) => a.state < b.state ? -1 : 1);
  // Which tasks there are besides is not known where Slurm does not know the array.
  const isWhole = report.tasks !== undefined && tasks.every((group) => isOver(group.phase));
  return {
    ...report,
    ...(isWhole ? verdict(tasks) : {}),
    tasks,
    assumed: true,
    assumedTasks: `${vouchedFor}`,
  };
}

/** Returns the tasks that the user names of a job of which Slurm does not know anything. */
function tasksOnlyNamed({ phase }: JobReport, named: IndexSet | undefined) {
  if (phase !== "unknown" || named === undefined) return undefined;
  return [{ state: UNKNOWN_STATE.word, phase, indices: `${named}`, count: named.size }];
}

/** Returns the state of some tasks together: that of one that is live or failed, if there is one. */
function wholeOf(groups: readonly TaskGroup[]): Pick<JobReport, "phase" | "state"> {
  const live = groups.find(({ phase }) => isLive(phase));
  return live ?? verdict(groups);
}

/** Returns the report where Slurm says what the user says; throws a {@link ToolError} otherwise. */
function ifAgreed(
  report: JobReport,
  { phase, state }: Pick<JobReport, "phase" | "state">,
  { phase: assumed, named }: Assumption,
): JobReport {
  if (phase === assumed) return report;
  const job = jobName(report.jobId, named && `${named}`);
  throw new ToolError("refused", `Slurm knows the state of job ${job}: ${stateWord(state)}`, {
    hint: "--assume-state is for jobs whose end Slurm does not know",
  });
}
