import { ToolError } from "../errors.ts";
import { stateWord } from "../record/subject.ts";
import { IndexSet } from "../slurm/array.ts";
import type { JobReport } from "../slurm/report.ts";
import { groupsOf, verdict } from "./array_parts.ts";

/** A state that a user may vouch for. */
export type AssumedPhase = "completed" | "failed";

/**
 * Puts the user's word in the place of a state that Slurm does not know; of an array in that of the
 * tasks whose state is not known, all of them or those named. Throws a {@link ToolError} where Slurm
 * knows better: the job is live, or has ended in another way.
 */
export function assumeState(
  report: JobReport,
  named: IndexSet | undefined,
  phase: AssumedPhase,
): JobReport {
  const state = phase.toUpperCase();
  const states = new Map<string, IndexSet>();
  const vouchedFor = new IndexSet();
  for (const group of report.tasks ?? []) {
    const tasks = IndexSet.of(group.indices);
    const assumed = group.phase !== "unknown"
      ? new IndexSet()
      : named === undefined
      ? tasks
      : tasks.within(named);
    vouchedFor.addAll(assumed);
    states.set(group.state, tasks.without(assumed));
  }
  const isUnknown = report.tasks === undefined ? report.phase === "unknown" : vouchedFor.size > 0;
  if (!isUnknown) {
    if (report.phase === phase) return report;
    throw new ToolError(
      "refused",
      `Slurm knows the state of job ${report.jobId}: ${stateWord(report.state)}`,
      { hint: "--assume-state is for jobs whose end Slurm does not know" },
    );
  }
  if (report.tasks === undefined) return { ...report, phase, state, assumed: true };
  states.set(state, vouchedFor.addAll(states.get(state) ?? new IndexSet()));
  const tasks = groupsOf(
    Object.fromEntries(
      [...states].filter(([, set]) => set.size > 0).map(([word, set]) => [word, `${set}`]),
    ),
  );
  const isOver = tasks.every((group) => group.phase === "completed" || group.phase === "failed");
  return { ...report, ...(isOver ? verdict(tasks) : {}), tasks, assumed: true };
}
