import type { Dataset } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { moveEpoch, publish, readTip, type RefTransaction, type Tip } from "../git/refs.ts";
import { interruption, isUninterrupted, uninterrupted } from "../process/interruption.ts";
import type { BeginProgress } from "../process/progress.ts";
import { acquireLock, type Holder, type Lock, LOCK_TOKEN_VARIABLE } from "../store/lock.ts";
import { isJobOver } from "./owner.ts";

/** How a command waits for the repository lock. */
export interface LockPatience {
  /** What those who wait are shown, such as `datalad-slurm finish`. */
  readonly command: string;
  /** Milliseconds; the dataset's setting when absent. */
  readonly timeoutMs?: number | undefined;
  /** Told who holds the lock, after two seconds and then every ten. */
  readonly onWait?: ((holder: Holder, place: number, waitedMs: number) => void) | undefined;
  /** Begins to tell of long work; undefined where nobody looks. */
  readonly begin?: BeginProgress | undefined;
  /** Told, in a sentence, of other things that are waited for. */
  readonly say?: ((line: string) => void) | undefined;
}

/** Returns patience without end, for what must not be left undone: a job is submitted already. */
export function endlessly(patience: LockPatience): LockPatience {
  return { ...patience, timeoutMs: Infinity };
}

/** What may be done while the lock is held. */
export interface Locked {
  readonly lock: Lock;
  /** Returns where the branch stands now. */
  readTip(): Promise<Tip>;
  /**
   * Moves a ref, with the lock's fence around it. Returns false when the ref has moved meanwhile,
   * by somebody who does not use the lock; the caller looks again.
   */
  publish(change: Omit<RefTransaction, "epoch">): Promise<boolean>;
}

/** Says that the lock was broken while it was held: all begins anew, with the lock. */
class Fenced extends Error {}

const ATTEMPTS = 5;

/**
 * Does work under the repository lock and returns what it returns. Where the lock was lost to
 * somebody who broke it, git rejects the publication and the work is done again from the start.
 */
export async function locked<T>(
  dataset: Dataset,
  patience: LockPatience,
  work: (held: Locked) => Promise<T>,
): Promise<T> {
  const { repository, store } = dataset;
  let { epoch } = repository;
  for (let attempt = 1;; attempt++) {
    const lock = await acquireLock({
      directory: store.lock,
      command: patience.command,
      timeoutMs: patience.timeoutMs ?? dataset.settings.lockTimeoutMs,
      onWait: patience.onWait,
      fence: (_token, epochText) => moveEpoch(repository, epochText),
      isJobOver,
      ...(isUninterrupted() ? {} : { signal: interruption }),
    });
    // Whoever doubts that we live finds our git processes by it.
    const outer = Deno.env.get(LOCK_TOKEN_VARIABLE);
    Deno.env.set(LOCK_TOKEN_VARIABLE, lock.token);
    const seen = epoch;
    try {
      // What was begun under the lock is brought to its end, so that others find it whole.
      return await uninterrupted(() =>
        work({
          lock,
          readTip: () => readTip(repository),
          async publish(change) {
            if (!lock.isHeld()) throw new Fenced();
            if (await publish(repository, { ...change, epoch: seen })) return true;
            if ((await readTip(repository)).epoch !== seen) throw new Fenced();
            return false;
          },
        })
      );
    } catch (error) {
      // One who was suspended for long finds the lock lost, before or when git rejects it.
      const isLost = error instanceof ToolError && error.kind === "locked" && !lock.isHeld();
      if (!(error instanceof Fenced) && !isLost) throw error;
      if (attempt === ATTEMPTS) {
        throw new ToolError("locked", "The repository lock was broken again and again", {
          hint: "See who does it with: datalad-slurm unlock",
        });
      }
    } finally {
      // A subdataset's lock may be held within the lock of the dataset above.
      if (outer === undefined) Deno.env.delete(LOCK_TOKEN_VARIABLE);
      else Deno.env.set(LOCK_TOKEN_VARIABLE, outer);
      lock.release();
    }
    // Read before the lock is acquired again, never while it is held (see lib/store/lock.ts).
    epoch = (await readTip(repository)).epoch;
  }
}
