import { confirm, type Recovery, searchQueue, type SubmissionTrace } from "./recover.ts";

/** A submission is not held up for longer by a slurmctld that does not answer. */
const PATIENCE_MS = 30_000;

/**
 * Returns the jobs that came from a session a moment ago. slurmctld is asked: it knows every job from
 * the moment it accepts it until minutes after its end. A job from a session of the same number that
 * is earlier, or on a host of another name, may be ours or not: accounting is asked for its token,
 * and while it does not know the job yet the answer is not conclusive.
 */
export async function findInQueue(
  trace: SubmissionTrace,
  options: { readonly withRefused?: boolean } = {},
): Promise<Recovery> {
  const { here, elsewhere, asked, answered, missing } = await searchQueue(
    trace,
    PATIENCE_MS,
    options,
  );
  const confirmation = await confirm(elsewhere, trace, PATIENCE_MS);
  return {
    found: [...here, ...confirmation.found],
    asked: [...asked, ...confirmation.asked],
    conclusive: missing || answered && confirmation.conclusive,
  };
}
