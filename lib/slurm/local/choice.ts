import { ToolError } from "../../errors.ts";

/** The variable that chooses where jobs are submitted to. */
export const CHOICE = "DATALAD_SLURM";

/** Whether jobs are to be submitted to the stand-in. Throws a {@link ToolError} for another word. */
function isChosen(configured: string | undefined): boolean {
  const choice = Deno.env.get(CHOICE) || configured || "";
  if (["", "cluster", "local"].includes(choice)) return choice === "local";
  throw new ToolError("usage", `${CHOICE} is ${JSON.stringify(choice)}`, {
    hint: "It may be `local`, for the stand-in on this machine, or `cluster`, for Slurm",
  });
}

/**
 * Returns the cluster name of the stand-in where it is chosen, by the environment or else by the
 * configuration, and makes it ready; else undefined.
 */
export async function chosenStandIn(configured?: string): Promise<string | undefined> {
  if (!isChosen(configured)) return undefined;
  const { useStandIn } = await import("./place.ts");
  return useStandIn();
}

/** Returns a PATH on which Slurm's programs are those of a cluster's stand-in. */
export async function standInPath(cluster: string): Promise<string> {
  const { pathOfStandIn } = await import("./place.ts");
  return pathOfStandIn(cluster);
}
