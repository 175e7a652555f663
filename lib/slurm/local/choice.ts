import { ToolError } from "../../errors.ts";

/** The variable that chooses where jobs are submitted to. */
export const CHOICE = "DATALAD_SLURM";

/**
 * Returns where jobs are to be submitted to, by the environment or else by the configuration;
 * undefined where neither says it. Throws a {@link ToolError} for another word.
 */
export function chosenSlurm(configured: string | undefined): "local" | "cluster" | undefined {
  const choice = Deno.env.get(CHOICE) || configured;
  if (choice === undefined || choice === "local" || choice === "cluster") return choice;
  throw new ToolError("usage", `${CHOICE} is ${JSON.stringify(choice)}`, {
    hint: "It may be `local`, for the stand-in on this machine, or `cluster`, for Slurm",
  });
}

/** Returns the cluster name of the stand-in where it is chosen, and makes it ready; else undefined. */
export async function chosenStandIn(configured?: string): Promise<string | undefined> {
  if (chosenSlurm(configured) !== "local") return undefined;
  const { useStandIn } = await import("./place.ts");
  return useStandIn();
}

/** Whether a cluster is the stand-in of this machine. */
export async function isStandInHere(cluster: string): Promise<boolean> {
  const { ownStandIn } = await import("./place.ts");
  return cluster === ownStandIn();
}

/** Returns a PATH on which Slurm's programs are those of a cluster's stand-in. */
export async function standInPath(cluster: string): Promise<string> {
  const { pathOfStandIn } = await import("./place.ts");
  return pathOfStandIn(cluster);
}
