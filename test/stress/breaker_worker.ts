/**
 * Takes the repository lock of the dataset at a path once, from one who is silent for a second where
 * that is allowed at all, and gives it back: `breaker_worker.ts ROOT`. Prints `acquired` or `locked`.
 */
import { openDataset } from "../../lib/dataset/dataset.ts";
import { ToolError } from "../../lib/errors.ts";
import { moveEpoch } from "../../lib/git/refs.ts";
import { acquireLock } from "../../lib/store/lock.ts";

const { repository, store } = await openDataset(Deno.args[0]);
try {
  const lock = await acquireLock({
    directory: store.lock,
    command: "breaker_worker",
    timeoutMs: 4_000,
    fence: (_token, epoch) => moveEpoch(repository, epoch),
    timing: { silenceMs: 1_000, silenceLooks: 3, checkMs: 100 },
  });
  lock.release();
  console.log("acquired");
} catch (error) {
  if (!(error instanceof ToolError) || error.kind !== "locked") throw error;
  console.log("locked");
}
Deno.exit(0);
