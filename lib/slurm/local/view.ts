import { type Lookup, unmet } from "./dependency.ts";
import type { Entry, Job } from "./job.ts";
import { lookupIn, pendingReason } from "./plan.ts";
import type { Context } from "./context.ts";
import { doneSince, findJob, jobsOf, liveJobs, readJob } from "./store.ts";

/** What is to be known beside a record to show it. */
export interface Surroundings {
  readonly live: readonly Job[];
  readonly lookup: Lookup;
  readonly now: number;
  readonly cluster: string;
}

/** Slurm's letters for states (22.05). */
const SHORT: Readonly<Record<string, string>> = {
  PENDING: "PD",
  RUNNING: "R",
  COMPLETING: "CG",
  COMPLETED: "CD",
  FAILED: "F",
  CANCELLED: "CA",
  TIMEOUT: "TO",
  NODE_FAIL: "NF",
};

/** Returns the state as squeue and scontrol show it; a part that is being ended is completing. */
export function shownState({ part }: Entry): string {
  return part.state === "RUNNING" && part.cancelAt !== undefined ? "COMPLETING" : part.state;
}

/** Returns Slurm's letters for a state. */
export function shortState(state: string): string {
  return SHORT[state] ?? state;
}

/** Returns Slurm's reason for the state of a record. */
export function reasonOf(entry: Entry, around: Surroundings): string {
  const { part, job, keys: [key = -1] } = entry;
  switch (part.state) {
    case "PENDING":
      return pendingReason({ job, key, part }, around.lookup, around.now, around.live);
    case "FAILED":
      return (part.signal ?? 0) > 0 ? "JobLaunchFailure" : "NonZeroExitCode";
    case "TIMEOUT":
      return "TimeLimit";
    case "NODE_FAIL":
      return "NodeDown";
    default:
      return part.reason ?? "None";
  }
}

/** Returns the prerequisites of a pending record that are not met, or `(null)`. */
export function dependencyOf({ job, part }: Entry, around: Surroundings): string {
  if (part.state !== "PENDING") return "(null)";
  return unmet(job, around.lookup, around.now, around.live) ?? "(null)";
}

/** Returns how long a record has run, in seconds. */
export function elapsedOf({ part }: Entry, now: number): number {
  if (part.start === undefined) return 0;
  return Math.max(0, Math.floor((part.end ?? now) - part.start));
}

/** Returns the exit code column: `1:0`. Jobs that were ended from outside have none of their own. */
export function exitOf({ part }: Entry): string {
  return part.state === "FAILED" ? `${part.code ?? 0}:${part.signal ?? 0}` : "0:0";
}

/** Returns the nodes of a record: none before it starts. */
export function nodesOf({ part, job }: Entry): string {
  return part.start === undefined ? "" : job.spec.host;
}

/** How long squeue and scontrol list jobs that are over, in seconds (Slurm's MinJobAge). */
const LISTED_SECONDS = 300;

/** Returns what is there now, for programs that show records. */
export function lookAround({ store, cluster, now }: Context): Surroundings {
  const live = liveJobs(store);
  return { live, lookup: lookupIn(live, (id) => readJob(store, id)), now: now(), cluster };
}

/** Returns the jobs that a list shows: those that are live, and those that ended lately. */
export function listedJobs({ store }: Context, around: Surroundings): Job[] {
  // One may have been moved aside since the live ones were read.
  const known = new Set(around.live.map(({ spec }) => spec.jobId));
  const ended = doneSince(store, around.now - LISTED_SECONDS).filter((id) => !known.has(id));
  return [...around.live, ...jobsOf(store, ended)];
}

/** Returns the job that an id belongs to, preferably as the surroundings have it. */
export function jobById({ store }: Context, around: Surroundings, id: number): Job | undefined {
  return around.live.find(({ spec }) => spec.jobId === id) ?? findJob(store, id);
}
