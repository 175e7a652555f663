import { fixedPrefix } from "../dataset/globs.ts";
import { finishedNames, jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import { fillFields, placesOf, submittedTasks } from "../dataset/task_paths.ts";
import { ToolError } from "../errors.ts";
import { pathAndAbove } from "../paths.ts";
import type { JobRecord } from "../record/schema.ts";
import { IndexSet } from "../slurm/array.ts";
import { reservedPaths } from "./reserved_paths.ts";
import type { FinishOf } from "./select_jobs.ts";

/** A job to submit once more; of an array perhaps those tasks alone that did not complete. */
export interface Choice {
  readonly job: RecordedJob;
  readonly failed?: string | undefined;
}

/** A job that `reschedule --since` would take, and that is not submitted. */
export interface PassedOver {
  readonly job: RecordedJob;
  /** `open`: it is not finished; `replaced`: another job of these is in its place. */
  readonly why: "open" | "replaced" | "refused";
  readonly reason: string;
  readonly hint?: string | undefined;
  readonly details?: string | undefined;
  /** The newer job that writes the same, and what to do where that is refused. */
  readonly replacement?: { readonly job: RecordedJob; readonly hint: string };
}

/** Jobs to submit once more, and those that are not. */
export interface Choices {
  readonly chosen: readonly Choice[];
  readonly passedOver: readonly PassedOver[];
}

/**
 * Returns those of several jobs that are not submitted once more: open ones, and those in whose
 * place another one is, since both would write the same outputs.
 */
export function passOver(
  history: readonly RecordedJob[],
  finishOf: FinishOf,
  jobs: readonly RecordedJob[],
  failedTasks: boolean,
): PassedOver[] {
  const byCommit = new Map(jobs.map((job) => [job.commit, job]));
  const replacedBy = new Map<RecordedJob, RecordedJob>();
  for (const job of jobs) {
    const before = job.record.chain.flatMap((commit) => byCommit.get(commit) ?? []);
    const isPart = job.record.datalad_slurm?.failed_tasks !== undefined;
    const parent = before.at(-1);
    // A job that repeats some tasks is not in the place of all of them.
    if (isPart && !failedTasks && parent !== undefined) replacedBy.set(job, parent);
    else for (const other of before) replacedBy.set(other, job);
  }
  const finished = finishedNames(history);
  return jobs.flatMap((job): PassedOver[] => {
    const other = replacedBy.get(job);
    if (other !== undefined) {
      const reason = `Job ${job.jobId} is left out: job ${other.jobId} is in its place`;
      return [{ job, why: "replaced", reason }];
    }
    if (finished.has(jobKeyOf(job)) || finishOf(job) !== undefined) return [];
    const { message: reason, hint } = unfinished(job);
    return [{ job, why: "open", reason, hint }];
  });
}

/**
 * Passes over the jobs, given oldest first, that cannot be open beside a newer one, as both reserve
 * the same path. It is in their place where newer ones write all that they would, and none of them
 * reads it; else they are refused.
 */
export function passOverlapping(choices: readonly Choice[]): Choices {
  const chosen: Choice[] = [];
  const passedOver: PassedOver[] = [];
  const reserved = new Map<string, RecordedJob>();
  const withBelow = new Map<string, RecordedJob>();
  const written = new Set<string>();
  // What the newer ones read, and what is above that.
  const read = new Set<string>();
  const aboveRead = new Set<string>();
  for (const choice of choices.toReversed()) {
    const { job } = choice;
    const paths = reservedPaths(declaredOutputs(job.record));
    const [held] = paths.flatMap((path) => {
      const inTheWay = [...pathAndAbove(path)].flatMap((above) => reserved.get(above) ?? []);
      const holder = inTheWay[0] ?? withBelow.get(path);
      return holder === undefined ? [] : [{ path, holder }];
    });
    const places = placesWritten(choice);
    if (held !== undefined) {
      const isReplaced = places.every((place) =>
        [...pathAndAbove(place)].some((above) => written.has(above)) &&
        !aboveRead.has(place) && ![...pathAndAbove(place)].some((above) => read.has(above))
      );
      passedOver.unshift(overlapping(choice, held, isReplaced));
      continue;
    }
    chosen.unshift(choice);
    for (const place of places) written.add(place);
    for (const input of [...job.record.inputs, ...job.record.extra_inputs].map(fixedPrefix)) {
      read.add(input);
      for (const above of pathAndAbove(input)) aboveRead.add(above);
    }
    for (const path of paths) {
      reserved.set(path, job);
      for (const above of pathAndAbove(path)) withBelow.set(above, job);
    }
  }
  return { chosen, passedOver };
}

function overlapping(
  { job, failed }: Choice,
  { path, holder }: { readonly path: string; readonly holder: RecordedJob },
  isReplaced: boolean,
): PassedOver {
  const reason = `Job ${job.jobId} is left out: job ${holder.jobId}, which is newer, writes to ` +
    `${JSON.stringify(path)} as well`;
  const option = failed === undefined ? "" : "--failed-tasks ";
  const hint = `datalad-slurm reschedule ${option}${job.commit.slice(0, 10)}`;
  return isReplaced
    ? {
      job,
      why: "replaced",
      reason,
      replacement: { job: holder, hint: `Submit it with: ${hint}` },
    }
    : { job, why: "refused", reason, hint: `Once that is submitted again and finished: ${hint}` };
}

/** Refuses those in whose place there is one that is refused itself. */
export function withoutReplacement(
  passedOver: readonly PassedOver[],
  refused: readonly PassedOver[],
): PassedOver[] {
  const jobs = new Set(refused.map(({ job }) => job));
  return passedOver.map((one) => {
    if (one.replacement === undefined || !jobs.has(one.replacement.job)) return one;
    const { job, reason, replacement: { hint } } = one;
    return { job, why: "refused", reason, hint };
  });
}

/** Returns what a job writes, each task for itself; what is named after a job is its own. */
function placesWritten(choice: Choice): string[] {
  const { job } = choice;
  const outputs = declaredOutputs(job.record);
  const tasks = tasksOf(choice);
  return tasks === undefined
    ? outputs.map((output) => fillFields(output, job.jobId))
    : placesOf({ jobId: job.jobId, outputs, tasks, withShared: true });
}

/** Returns the tasks that an array will have when it is submitted once more, where that is known. */
export function tasksOf({ job, failed }: Choice): IndexSet | undefined {
  return failed === undefined ? submittedTasks(job) : IndexSet.of(failed);
}

/** Returns the outputs that were declared: the extension counts a job's own logs among them. */
export function declaredOutputs({ outputs, slurm_run_outputs: logs }: JobRecord): string[] {
  const own = new Set(logs);
  return outputs.filter((path) => !own.has(path));
}

/** Returns the error that says that a job is not finished. */
export function unfinished(job: RecordedJob): ToolError {
  return new ToolError("refused", `Job ${job.jobId} (${job.commit.slice(0, 10)}) is not finished`, {
    hint: `Finish it first: datalad-slurm finish ${job.jobId}`,
  });
}
