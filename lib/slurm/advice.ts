import type { Accounting } from "./account.ts";

/** What a person should do about a job that needed more than it was given. */
export interface Advice {
  /** What happened, as a sentence without its subject: `ran into its time limit of 5 min`. */
  readonly happened: string;
  /** What to raise, and by which option. */
  readonly raise: string;
}

/** What is known of a job that did not get on with what it had. */
export interface LimitedJob extends
  Pick<
    Accounting,
    "time_limit_seconds" | "elapsed_seconds" | "max_rss_bytes" | "requested_memory_bytes"
  > {
  readonly states: readonly string[];
}

/**
 * Returns advice on a job of which Slurm says that it, or a task of it, ran into its time limit or out
 * of memory; undefined for any other state. Figures that are not known are left out.
 */
export function adviceOn(job: LimitedJob): Advice | undefined {
  if (job.states.includes("OUT_OF_MEMORY")) {
    const { requested_memory_bytes: requested, max_rss_bytes: used } = job;
    const seen = used === undefined
      ? ""
      : `, the last that was seen in use is ${bytesInWords(used)}`;
    return {
      happened: requested
        ? `ran out of memory: ${bytesInWords(requested)} were requested${seen}`
        : `ran out of memory${seen}`,
      raise: `Request more memory: sbatch --mem${
        requested ? `, above ${bytesInWords(requested)}` : ""
      }`,
    };
  }
  if (job.states.includes("TIMEOUT")) {
    const limit = job.time_limit_seconds;
    return {
      happened: limit === undefined
        ? "ran into its time limit"
        : `ran into its time limit of ${secondsInWords(limit)}`,
      raise: `Give it more time: sbatch --time${
        limit === undefined ? "" : `, above ${secondsInWords(limit)}`
      }`,
    };
  }
  return undefined;
}

/** Returns an amount of memory as Slurm counts it: `512 MiB`, `1.5 GiB`. */
export function bytesInWords(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  const rounded = value >= 100 ? Math.round(value) : Math.round(value * 10) / 10;
  return `${rounded} ${units[unit]}`;
}

/** Returns a duration in its two largest units: `1 d 3 h`, `5 min`, `12.5 s`. */
export function secondsInWords(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]] as const;
  const whole = Math.round(seconds);
  const first = units.findIndex(([, size]) => whole >= size);
  const parts: string[] = [];
  let rest = whole;
  for (const [name, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts.join(" ");
}
