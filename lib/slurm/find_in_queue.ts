import { ask } from "./ask.ts";
import { fromSession, queueSearchArgv, type Recovery, type SubmissionTrace } from "./recover.ts";
import { CLOCK_SLACK } from "./report.ts";

/** A submission is not held up for longer by a slurmctld that does not answer. */
const PATIENCE_MS = 30_000;

/**
 * Returns the jobs that came from a session a moment ago. Only slurmctld is asked: it knows every
 * job from the moment it accepts it until minutes after its end, so its answer is conclusive. The
 * host is not compared, since slurmctld may know it by another name (`localhost`): that another
 * host had a session of the same number in these minutes is for the caller's token to tell.
 */
export async function findInQueue(trace: SubmissionTrace): Promise<Recovery> {
  const answer = await ask(queueSearchArgv(), PATIENCE_MS);
  const answered = answer.outcome === "answered";
  const since = trace.since.getTime() / 1000 - CLOCK_SLACK;
  return {
    found: answered
      ? fromSession(answer.stdout, trace.sessionId, since).map(({ jobId }) => ({ jobId }))
      : [],
    asked: [answer.said],
    // Where there is no squeue there is no sbatch either.
    conclusive: answered || answer.outcome === "missing",
  };
}
