import { type Lookup, standing } from "./dependency.ts";
import { isEnded, type Job, type Part } from "./job.ts";

/** A part of a job. */
export interface PartOfJob {
  readonly job: Job;
  readonly key: number;
  readonly part: Part;
}

/** What the runner has before it. */
export interface Plan {
  /** The parts that may start now, in their order, at most as many as there are free places. */
  readonly start: readonly PartOfJob[];
  /** The parts that can never start and are to be cancelled (`--kill-on-invalid-dep=yes`). */
  readonly cancel: readonly PartOfJob[];
  /** When something may have changed by itself, in seconds since 1970; undefined for never. */
  readonly lookAgain: number | undefined;
}

/** How often the time that `after:ID+MINUTES` waits for is looked at, in seconds. */
const LOOK_SECONDS = 2;

/** Decides which of the live jobs may start, with so many free places. */
export function plan(jobs: readonly Job[], lookup: Lookup, now: number, places: number): Plan {
  const start: PartOfJob[] = [];
  const cancel: PartOfJob[] = [];
  let lookAgain: number | undefined;
  const later = (time: number) => lookAgain = Math.min(lookAgain ?? time, time);
  for (const job of inOrder(jobs)) {
    const { spec } = job;
    let free = Math.min(places - start.length, freeTasks(job));
    for (const [key, part] of job.parts) {
      if (free <= 0 && !spec.killInvalid) break;
      if (part.state !== "PENDING" || part.held === true) continue;
      if (spec.begin !== undefined && spec.begin > now) {
        later(spec.begin);
        break;
      }
      const stands = standing(job, key, lookup, now, jobs);
      if (stands === "ready" && free > 0) {
        start.push({ job, key, part });
        free--;
      } else if (stands === "never" && spec.killInvalid) {
        cancel.push({ job, key, part });
      } else if (stands === "waiting" && spec.dependency?.includes("+") === true) {
        later(now + LOOK_SECONDS);
      }
    }
  }
  return { start, cancel, lookAgain };
}

/** A lower `--nice` goes first, and what was submitted first. */
function inOrder(jobs: readonly Job[]): Job[] {
  return [...jobs].sort((a, b) => a.spec.nice - b.spec.nice || a.spec.jobId - b.spec.jobId);
}

/** Returns how many more tasks of an array its throttle lets run. */
function freeTasks({ spec, parts }: Job): number {
  if (spec.array?.throttle === undefined) return Infinity;
  let running = 0;
  for (const { state } of parts.values()) if (state === "RUNNING") running++;
  return spec.array.throttle - running;
}

/** Whether any part of the jobs runs, as far as was noted. */
export function hasRunning(jobs: readonly Job[]): boolean {
  return jobs.some(({ parts }) => [...parts.values()].some(({ state }) => state === "RUNNING"));
}

/** Whether there is anything for a runner to do, now or at some time. */
export function hasWork(jobs: readonly Job[], lookup: Lookup, now: number): boolean {
  if (hasRunning(jobs)) return true;
  const { start, cancel, lookAgain } = plan(jobs, lookup, now, 1);
  return start.length > 0 || cancel.length > 0 || lookAgain !== undefined;
}

/** Returns why a pending part waits, in Slurm's words. */
export function pendingReason(
  { job, key, part }: PartOfJob,
  lookup: Lookup,
  now: number,
  live: readonly Job[],
): string {
  if (part.held === true) return "JobHeldUser";
  switch (standing(job, key, lookup, now, live)) {
    case "never":
      return "DependencyNeverSatisfied";
    case "waiting":
      return "Dependency";
    default:
      if (job.spec.begin !== undefined && job.spec.begin > now) return "BeginTime";
      return freeTasks(job) <= 0 ? "JobArrayTaskLimit" : "Resources";
  }
}

/** Returns the jobs behind a list and others by id; what is over is read once. */
export function lookupIn(jobs: readonly Job[], read: (id: number) => Job | undefined): Lookup {
  const known = new Map<number, Job | undefined>(jobs.map((job) => [job.spec.jobId, job]));
  return (id) => {
    if (!known.has(id)) {
      const job = read(id);
      if (job !== undefined && ![...job.parts.values()].every(({ state }) => isEnded(state))) {
        return job;
      }
      known.set(id, job);
    }
    return known.get(id);
  };
}
