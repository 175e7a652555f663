import { collectOutputs } from "../dataset/collect.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { expandPath } from "../dataset/globs.ts";
import { findLocked, unlock } from "../git/annexed.ts";

/**
 * Makes what is there of a job's outputs writable, since a job cannot write to a locked annexed
 * file. Where the content of one is not here the dangling link is removed: the commit keeps it.
 */
export async function prepareOutputs(dataset: Dataset, outputs: readonly string[]): Promise<void> {
  const { root } = dataset;
  const { files } = await collectOutputs(
    root,
    outputs.flatMap((output) => expandPath(root, output)),
  );
  for (const [repository, paths] of files) {
    const base = repository === "." ? root : `${root}/${repository}`;
    const locked = findLocked(base, [...new Set(paths)]);
    if (locked.present.length > 0) await unlock(base, locked.present);
    for (const file of locked.absent) Deno.removeSync(`${base}/${file}`);
  }
}
