import type { SubmittedJob } from "../record/schema.ts";
import type { Accounting } from "../slurm/account.ts";
import { parseMemory } from "../slurm/fields.ts";
import type { JobReport } from "../slurm/report.ts";
import { type Shortage, shortagesOf } from "../slurm/shortage.ts";

/** Returns Slurm's words for the state of a job and of its tasks or components. */
export function statesIn({ state, tasks = [], components = [] }: JobReport): string[] {
  return [state, ...[...tasks, ...components].map((group) => group.state)];
}

/**
 * Returns what a job had too little of, by the words for its states. A figure that accounting does
 * not have is that of the submission.
 */
export function shortagesOfJob(
  states: readonly string[],
  accounting: Accounting | undefined,
  submitted: SubmittedJob | undefined,
): Shortage[] {
  return shortagesOf(states, { ...requestOf(submitted), ...accounting });
}

/**
 * Returns what Slurm said at the submission that the job requests, as accounting would say it: that
 * may not have it yet when the job is finished.
 */
export function requestOf(submitted: SubmittedJob | undefined): Accounting {
  const memory = parseMemory(/(?:^|,)mem=([^,]+)/.exec(submitted?.requested ?? "")?.[1]);
  return {
    ...(submitted?.time_limit_seconds === undefined
      ? {}
      : { time_limit_seconds: submitted.time_limit_seconds }),
    ...(memory === undefined ? {} : { requested_memory_bytes: memory.bytes }),
  };
}
