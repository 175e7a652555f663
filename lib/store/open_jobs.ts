import * as z from "zod/mini";
import { RECORD_VERSION } from "../record/schema.ts";

/**
 * The open jobs of a work tree as they were at one commit, so that only the history since then has
 * to be read. A cache: where it is missing, damaged or of another version, history is read anew.
 */
const cache = z.object({
  version: z.literal(3),
  /** The newest records that its writer could read: another one may read others (from version 3). */
  reads: z.literal(RECORD_VERSION),
  head: z.string(),
  /**
   * Schedule commits that no finish commit answers, as the reader of history made them, with the
   * tasks that are finished (from version 2).
   */
  jobs: z.array(z.unknown()),
  /**
   * Commits whose record cannot be read, with the reason, and what it can be read with where nothing
   * is wrong with it (from version 3).
   */
  unreadable: z.array(z.object({
    commit: z.string(),
    reason: z.string(),
    awaits: z.optional(
      z.union([z.object({ program: z.string() }), z.object({ key: z.string() })]),
    ),
  })),
});

/** What the cache holds. */
export type OpenJobsCache = z.infer<typeof cache>;

/** What a new one is of. */
export const PRESENT_CACHE = { version: 3, reads: RECORD_VERSION } as const;

/** Returns the cache, or undefined when history has to be read anew. */
export function readOpenJobsCache(path: string): OpenJobsCache | undefined {
  try {
    return cache.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    return undefined;
  }
}

/** Writes the cache, whole or not at all. A cache that cannot be written costs only time. */
export function writeOpenJobsCache(path: string, value: OpenJobsCache): void {
  const temporary = `${path}.${crypto.randomUUID()}.new`;
  try {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(temporary, JSON.stringify(value));
    Deno.renameSync(temporary, path);
  } catch {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was never made.
    }
  }
}

/**
 * Removes what writers of the cache that were killed have left beside it. One that is at work loses
 * its file as well, which costs it nothing but the cache.
 */
export function clearOpenJobsLeftovers(path: string): void {
  const directory = path.slice(0, path.lastIndexOf("/"));
  try {
    for (const { name } of Deno.readDirSync(directory)) {
      if (name.endsWith(".new")) Deno.removeSync(`${directory}/${name}`);
    }
  } catch {
    // There is no cache, or somebody else was faster.
  }
}
