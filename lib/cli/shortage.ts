import type { Shortage } from "../slurm/shortage.ts";
import { readableDuration } from "./progress.ts";

/** What a job's memory is requested with, for each node or each CPU. */
const OPTIONS = "sbatch --mem or --mem-per-cpu";

/** Returns what a job had too little of, and what to do, as two sentences without their periods. */
export function shortageInWords(shortage: Shortage): { happened: string; hint: string } {
  if (shortage.of === "time") {
    const limit = shortage.limitSeconds;
    return limit === undefined
      ? { happened: "It ran into its time limit", hint: "Give it more with sbatch --time" }
      : {
        happened: `It ran into its time limit of ${readableDuration(limit)}`,
        hint: `Give it more than ${readableDuration(limit)} with sbatch --time`,
      };
  }
  const { requestedBytes: requested, usedBytes: used } = shortage;
  const seen = used === undefined
    ? ""
    : `; ${readableMemory(used)} were in use when Slurm last looked`;
  return requested === undefined
    ? { happened: `It ran out of memory${seen}`, hint: `Request more with ${OPTIONS}` }
    : {
      happened: `It ran out of the ${readableMemory(requested)} of memory that it requested${seen}`,
      hint: `Request more than ${readableMemory(requested)} with ${OPTIONS}`,
    };
}

/** Returns the sentences on all that a job had too little of, as one text. */
export function allInWords(shortages: readonly Shortage[]): string {
  return shortages.map(shortageInWords).flatMap((words) => Object.values(words)).join(". ");
}

/** Returns an amount of memory as Slurm counts it, in powers of 1024: `512 MiB`, `1.5 GiB`. */
export function readableMemory(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  const rounded = value >= 100 ? Math.round(value) : Math.round(value * 10) / 10;
  return `${rounded} ${units[unit]}`;
}
