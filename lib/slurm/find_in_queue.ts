import { type Recovery, searchQueue, type SubmissionTrace } from "./recover.ts";

/** A submission is not held up for longer by a slurmctld that does not answer. */
const PATIENCE_MS = 30_000;

/**
 * Returns the jobs that came from a session a moment ago. Only slurmctld is asked: it knows every
 * job from the moment it accepts it until minutes after its end. A job from a session of the same
 * number on a host of another name may be ours or not: then the answer is not conclusive, and the
 * token in accounting has to tell later.
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
  return { found: here, asked, conclusive: missing || answered && elsewhere.length === 0 };
}
