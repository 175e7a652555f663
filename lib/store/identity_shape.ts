import * as z from "zod/mini";

/** Returns the shape of a `ProcessIdentity` as it is stored, for the lock and the journal. */
export function identityShape() {
  return {
    host: z.string(),
    bootId: z.string(),
    namespaces: z.string(),
    pid: z.number(),
    startTime: z.string(),
    uid: z.number(),
    user: z.string(),
    slurmJobId: z.optional(z.string()),
    slurmCluster: z.optional(z.string()),
  };
}
