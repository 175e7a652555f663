import type { Accounting } from "./account.ts";

/** What a job had too little of, with what is known of it; figures that are not known are absent. */
export type Shortage =
  | { readonly of: "time"; readonly limitSeconds: number | undefined }
  | {
    readonly of: "memory";
    readonly requestedBytes: number | undefined;
    /** What was last seen in use, of one task: Slurm looks every so many seconds. */
    readonly usedBytes: number | undefined;
  };

/**
 * Returns what a job had too little of, by Slurm's words for its state or for those of its tasks or
 * components: OUT_OF_MEMORY and TIMEOUT; nothing for any others.
 */
export function shortagesOf(
  states: readonly string[],
  accounting: Accounting | undefined,
): Shortage[] {
  const shortages: Shortage[] = [];
  if (states.includes("OUT_OF_MEMORY")) {
    shortages.push({
      of: "memory",
      requestedBytes: accounting?.requested_memory_bytes || undefined,
      usedBytes: accounting?.max_rss_bytes || undefined,
    });
  }
  if (states.includes("TIMEOUT")) {
    shortages.push({ of: "time", limitSeconds: accounting?.time_limit_seconds });
  }
  return shortages;
}
