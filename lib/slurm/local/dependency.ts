import { isEnded, type Job, type Part, WHOLE } from "./job.ts";

/** One job that another one waits for. */
interface Prerequisite {
  readonly type: string;
  readonly jobId: number;
  /** An array task; all tasks when absent. */
  readonly task?: number;
  /** Minutes after its start, for `after`. */
  readonly minutes: number;
}

/** What `--dependency` was given. */
interface Dependency {
  /** Whether one of the prerequisites is enough (`?`). */
  readonly any: boolean;
  readonly prerequisites: readonly Prerequisite[];
}

const TYPES = new Set(["after", "afterany", "afterok", "afternotok", "aftercorr"]);

/** How a job stands to what it waits for. */
export type Standing = "ready" | "waiting" | "never";

/** Returns another job by its id; undefined for one that is not known. */
export type Lookup = (jobId: number) => Job | undefined;

/** Whether sbatch takes a text as a dependency. */
export function isDependency(text: string): boolean {
  return parseDependency(text) !== undefined;
}

/** Reads `afterok:12:13_4,afterany:14` or, with `?` for "or", `after:12+5?singleton`. */
function parseDependency(text: string): Dependency | undefined {
  const prerequisites: Prerequisite[] = [];
  for (const term of text.split(/[,?]/)) {
    const [type = "", ...ids] = term.split(":");
    if (type === "singleton" && ids.length === 0) {
      prerequisites.push({ type, jobId: 0, minutes: 0 });
      continue;
    }
    if (!TYPES.has(type) || ids.length === 0) return undefined;
    for (const id of ids) {
      // `;cluster` is what `sbatch --parsable` prints behind the id where a cluster was named.
      const match = /^(\d+)(?:_(\d+|\*))?(?:\+(\d+))?(?:;\S+)?$/.exec(id);
      if (match === null) return undefined;
      const [, jobId, task, minutes] = match;
      prerequisites.push({
        type,
        jobId: Number(jobId),
        ...(task === undefined || task === "*" ? {} : { task: Number(task) }),
        minutes: Number(minutes ?? 0),
      });
    }
  }
  return { any: text.includes("?"), prerequisites };
}

/**
 * Returns how a part of a job stands to what it waits for at a time, in seconds. A job that is not
 * known holds nobody up (22.05).
 */
export function standing(
  job: Job,
  key: number,
  lookup: Lookup,
  now: number,
  live: Iterable<Job>,
): Standing {
  const dependency = parseDependency(job.spec.dependency ?? "");
  if (dependency === undefined) return "ready";
  const all = dependency.prerequisites.map((one) => standingTo(one, job, key, lookup, now, live));
  const decisive = dependency.any ? "ready" : "never";
  if (all.includes(decisive)) return decisive;
  if (all.includes("waiting")) return "waiting";
  return dependency.any ? "never" : "ready";
}

/** Returns the prerequisites that are not met, as Slurm shows them: `afterok:12(unfulfilled)`. */
export function unmet(
  job: Job,
  lookup: Lookup,
  now: number,
  live: Iterable<Job>,
): string | undefined {
  const dependency = parseDependency(job.spec.dependency ?? "");
  if (dependency === undefined) return undefined;
  const [key = WHOLE] = job.parts.keys();
  const shown = dependency.prerequisites.flatMap((one) => {
    const standing = standingTo(one, job, key, lookup, now, live);
    if (standing === "ready") return [];
    const task = one.task === undefined ? "" : `_${one.task}`;
    const id = one.type === "singleton" ? "" : `:${one.jobId}${task}`;
    return [`${one.type}${id}(${standing === "never" ? "failed" : "unfulfilled"})`];
  });
  return shown.length === 0 ? undefined : shown.join(dependency.any ? "?" : ",");
}

function standingTo(
  one: Prerequisite,
  job: Job,
  key: number,
  lookup: Lookup,
  now: number,
  live: Iterable<Job>,
): Standing {
  if (one.type === "singleton") return isAlone(job, live) ? "ready" : "waiting";
  const other = lookup(one.jobId);
  if (other === undefined) return "ready";
  const same = one.type === "aftercorr" && key !== WHOLE ? other.parts.get(key) : undefined;
  const parts = partsOf(other, one.task);
  if (same !== undefined) return afterOk([same]);
  switch (one.type) {
    case "after":
      return parts.every((part) => hasBegun(part, one.minutes * 60, now)) ? "ready" : "waiting";
    case "afterany":
      return parts.every(({ state }) => isEnded(state)) ? "ready" : "waiting";
    case "afternotok":
      if (!parts.every(({ state }) => isEnded(state))) return "waiting";
      return parts.some(({ state }) => state !== "COMPLETED") ? "ready" : "never";
    default:
      return afterOk(parts);
  }
}

function partsOf(job: Job, task: number | undefined): Part[] {
  if (task === undefined) return [...job.parts.values()];
  const part = job.parts.get(task);
  return part === undefined ? [] : [part];
}

function afterOk(parts: readonly Part[]): Standing {
  if (parts.some(({ state }) => isEnded(state) && state !== "COMPLETED")) return "never";
  return parts.every(({ state }) => state === "COMPLETED") ? "ready" : "waiting";
}

function hasBegun(part: Part, seconds: number, now: number): boolean {
  if (part.state === "PENDING") return false;
  return isEnded(part.state) || (part.start ?? now) + seconds <= now;
}

/** Whether no job of the same name that was submitted before is still there. */
function isAlone({ spec }: Job, live: Iterable<Job>): boolean {
  for (const { spec: other, parts } of live) {
    if (other.name !== spec.name || other.jobId >= spec.jobId) continue;
    if ([...parts.values()].some(({ state }) => !isEnded(state))) return false;
  }
  return true;
}
