import { harmless } from "../record/show.ts";
import { isStandIn } from "./stand_in.ts";

/**
 * Returns the clusters that the options of sbatch in a command line or in `#SBATCH` lines may name:
 * `-M a,b`, `-Ma`, `--clusters=a`, `--cluster a`, or variables of its environment that are set there:
 * `SBATCH_CLUSTERS=a`. What the shell would put in is not known.
 */
export function clustersNamedIn(text: string): string[] {
  const lists = text.matchAll(
    /(?<=^|\s)(?:-M\s*|--clusters?(?:=|\s+)|S(?:BATCH|LURM)_CLUSTERS=)['"]?([\w.,-]+)/gm,
  );
  return [...new Set([...lists].flatMap(([, list = ""]) => list.split(",")))]
    .filter((name) => name !== "");
}

/**
 * Returns the option by which Slurm's programs reach a job's cluster, for commands that people are
 * shown: `-M other `, or nothing for the local one. An id may be another job's there.
 */
export function clusterOption(cluster: string | undefined): string {
  return cluster === undefined || isStandIn(cluster) ? "" : `-M ${harmless(cluster)} `;
}
