import { ask } from "./ask.ts";
import {
  fromSession,
  isSameHost,
  queueSearchArgv,
  type Recovery,
  type SubmissionTrace,
} from "./recover.ts";
import { CLOCK_SLACK } from "./report.ts";

/** A submission is not held up for longer by a slurmctld that does not answer. */
const PATIENCE_MS = 30_000;

/**
 * Returns the jobs that came from a session a moment ago. Only slurmctld is asked: it knows every
 * job from the moment it accepts it until minutes after its end. A job from a session of the same
 * number on a host of another name may be ours or not: then the answer is not conclusive, and the
 * token in accounting has to tell later.
 */
export async function findInQueue(trace: SubmissionTrace): Promise<Recovery> {
  const answer = await ask(queueSearchArgv(), PATIENCE_MS);
  const answered = answer.outcome === "answered";
  const since = trace.since.getTime() / 1000 - CLOCK_SLACK;
  const session = answered ? fromSession(answer.stdout, trace.sessionId, since) : [];
  const here = session.filter(({ host }) => isSameHost(host, trace.host));
  return {
    found: here.map(({ jobId }) => ({ jobId })),
    asked: [answer.said],
    // Where there is no squeue there is no sbatch either.
    conclusive: answer.outcome === "missing" || answered && here.length === session.length,
  };
}
