import { type Dataset, isAnnexInitialised } from "../dataset/dataset.ts";
import { isThere } from "../files.ts";
import { hasAnnexBranch, initAnnex } from "../git/annexed.ts";
import { readConfiguration } from "../git/config.ts";
import { locked, type LockPatience } from "./locked.ts";

/**
 * Returns whether a dataset has an annex. That of a clone which `git clone` has made is initialised,
 * as git-annex's own commands do it, unless it is told not to; without it git would take the content
 * that the annex is for. In a submodule the first `git annex get --batch` would do so, pass over all
 * files and report success, and of two at once both may fail (10.20230126).
 */
export async function ensureAnnex(dataset: Dataset, patience: LockPatience): Promise<boolean> {
  const { hasAnnex, configuration, root } = dataset;
  if (hasAnnex) return true;
  if (!configuration.getBoolean("annex.autoinit", true) || isThere(`${root}/.noannex`)) {
    return false;
  }
  if (!await hasAnnexBranch(root)) return false;
  await locked(dataset, patience, async () => {
    if (!isAnnexInitialised(await readConfiguration(root))) await initAnnex(root);
  });
  return true;
}
