import { type Dataset, isAnnexInitialised } from "../dataset/dataset.ts";
import { initAnnex } from "../git/annexed.ts";
import { readConfiguration } from "../git/config.ts";
import { locked, type LockPatience } from "./locked.ts";

/**
 * Initialises the annex of a clone that `git clone` has made, as git-annex's own commands do; without
 * it git would take the content that the annex is for. In a submodule the first `git annex get
 * --batch` would do so, pass over all files and report success, and of two at once both may fail
 * (10.20230126).
 */
export async function ensureAnnex(dataset: Dataset, patience: LockPatience): Promise<void> {
  const { hasAnnex, configuration, root } = dataset;
  if (!hasAnnex || isAnnexInitialised(configuration)) return;
  await locked(dataset, patience, async () => {
    if (!isAnnexInitialised(await readConfiguration(root))) await initAnnex(root);
  });
}
