import { collectOutputs } from "../dataset/collect.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { findLocked, unlock } from "../git/annexed.ts";

/**
 * Makes what is there of a job's outputs writable, since a job cannot write to a locked annexed
 * file. Where the content of one is not here the dangling link is removed: the commit keeps it.
 */
export async function prepareOutputs(dataset: Dataset, outputs: readonly string[]): Promise<void> {
  if (!dataset.hasAnnex) return;
  const { files } = collectOutputs(dataset.root, outputs);
  const locked = findLocked(dataset.root, files);
  if (locked.present.length > 0) await unlock(dataset.root, locked.present);
  for (const file of locked.absent) Deno.removeSync(`${dataset.root}/${file}`);
}
