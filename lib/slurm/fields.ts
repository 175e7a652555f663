/** What a `JobID` column names: a job, an array task, a component, or a step of one of these. */
export interface JobReference {
  /** The job id; of an array the master's, of a heterogeneous job the leader's. */
  readonly jobId: string;
  /** The index of an array task. */
  readonly task?: number;
  /** The specification of the tasks that are still one record (`0,4,7-9%3`), maybe cut. */
  readonly tasks?: string;
  /** The offset of a component of a heterogeneous job. */
  readonly component?: number;
  /** The step: `batch`, `extern`, `0`. */
  readonly step?: string;
}

/** How a job or step ended. */
export interface ExitStatus {
  readonly code: number;
  readonly signal: number;
}

/** Returns whether a text is a plain job id, the only form that a batched query may hold. */
export function isJobId(text: string): boolean {
  return /^[1-9]\d{0,9}$/.test(text);
}

/**
 * Returns what a job id of sacct's or squeue's names: `516`, `516_3`, `498_[0,4,7-9%3]`, `478+1`,
 * each with `.batch` or another step behind it; undefined for anything else.
 */
export function parseReference(text: string): JobReference | undefined {
  const match = /^(\d+)(?:_(\d+)|_\[([^\]]*)\]|\+(\d+))?(?:\.(\w+))?$/.exec(text);
  const jobId = match?.[1];
  if (match === null || jobId === undefined) return undefined;
  const [, , task, tasks, component, step] = match;
  return {
    jobId,
    ...(task === undefined ? {} : { task: Number(task) }),
    ...(tasks === undefined ? {} : { tasks }),
    ...(component === undefined ? {} : { component: Number(component) }),
    ...(step === undefined ? {} : { step }),
  };
}

/** Returns the parts of an exit code column, `2:0` or `0:9`; undefined for anything else. */
export function parseExit(text: string | undefined): ExitStatus | undefined {
  const match = /^(\d+):(\d+)$/.exec(text ?? "");
  return match === null ? undefined : { code: Number(match[1]), signal: Number(match[2]) };
}

/**
 * Returns a time in seconds since 1970: `1795359739` (SLURM_TIME_FORMAT=%s) or the local time
 * `2026-11-22T15:02:19`; undefined for `Unknown`, `None`, `N/A` and anything else.
 */
export function parseTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) > 0 ? Number(text) : undefined;
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)) return undefined;
  const milliseconds = new Date(text).getTime();
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000;
}

/**
 * Returns a duration in seconds: `1-02:03:04`, `02:03:04`, `03:04`, `03:04.567`; undefined for
 * `UNLIMITED`, `Partition_Limit` and anything else.
 */
export function parseDuration(text: string | undefined): number | undefined {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text ?? "");
  if (match === null) return undefined;
  const [, days, hours, minutes, seconds] = match;
  return ((Number(days ?? 0) * 24 + Number(hours ?? 0)) * 60 + Number(minutes)) * 60 +
    Number(seconds);
}

/** An amount of memory, and whether it counts for each node or CPU (sacct before 21.08). */
export interface MemoryAmount {
  readonly bytes: number;
  readonly per?: "node" | "cpu";
}

const UNITS = ["", "K", "M", "G", "T", "P"];

/** Returns an amount of memory: `4000M`, `1.50G`, `812K`, `0`, `4000Mn`, `2Gc`; else undefined. */
export function parseMemory(text: string | undefined): MemoryAmount | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMGTP]?)([nc]?)$/.exec(text ?? "");
  if (match === null) return undefined;
  const bytes = Math.round(Number(match[1]) * 1024 ** UNITS.indexOf(match[2] ?? ""));
  // A row that slurmdbd has not completed yet shows 2^64-1 mebibytes (22.05).
  if (!Number.isSafeInteger(bytes)) return undefined;
  if (match[3] === "") return { bytes };
  return { bytes, per: match[3] === "n" ? "node" : "cpu" };
}

/** Returns a whole number of zero or more, or undefined for any other text. */
export function parseCount(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Returns a text, or undefined for what Slurm puts where there is none. */
export function named(text: string | undefined): string | undefined {
  return text === undefined || ["", "None assigned", "Unknown", "(null)"].includes(text)
    ? undefined
    : text;
}
