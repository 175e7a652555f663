import type { Dataset } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { subdatasetAbove } from "../git/subdatasets.ts";

/** Throws a {@link ToolError} when an output lies inside a subdataset. */
export async function refuseSubdatasets(
  dataset: Dataset,
  outputs: readonly string[],
): Promise<void> {
  const found = await subdatasetAbove(dataset.root, dataset.head, outputs);
  if (found === undefined) return;
  throw new ToolError(
    "refused",
    `The output ${JSON.stringify(found.path)} is inside the subdataset ` +
      JSON.stringify(found.subdataset),
    { hint: `Schedule the job from there: cd ${JSON.stringify(found.subdataset)}` },
  );
}
