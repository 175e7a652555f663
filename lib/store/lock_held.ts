import { ToolError } from "../errors.ts";
import { endOverduePrograms } from "../process/interruption.ts";
import { type Claim, unusable } from "./lock_claim.ts";
import { sweep } from "./lock_break.ts";
import {
  entryName,
  heartbeatPath,
  infoPath,
  list,
  listLock,
  lockPath,
  makeDirectory,
  parseEntry,
  removeEntry,
  removeNest,
} from "./lock_layout.ts";

/** The repository lock, held by this process. */
export interface Lock {
  /** Whose lock it is; children of the holder carry it in `LOCK_TOKEN_VARIABLE`. */
  readonly token: string;
  /**
   * Says what the holder is about to do. "refs only" promises that until the next call nothing is
   * changed but refs, in a transaction that verifies the epoch; only then may others break a lock
   * on silence alone. Throws a {@link ToolError} when the lock is lost.
   */
  phase(name: "refs only" | string): void;
  /** Says whether the lock is still ours, by a look at it; false after a minute of no heartbeat. */
  isHeld(): boolean;
  /** Throws a {@link ToolError} of kind `locked` when the lock is no longer ours. */
  assertHeld(): void;
  /** Gives the lock back; does nothing the second time. */
  release(): void;
}

/** Tokens of locks that this process has done with, and could not remove. */
const unreleased = new Set<string>();

/**
 * Removes a holder's entry that is left of a release by this very process, which nobody could prove
 * to be dead, and returns whether it was that. Throws what the file system says.
 */
export function removeOwnRemains(directory: string, entry: string): boolean {
  const token = parseEntry(entry)?.token;
  if (token === undefined || !unreleased.has(token)) return false;
  removeEntry(`${lockPath(directory)}/${entry}`);
  unreleased.delete(token);
  return true;
}

/** How often the heart beats, and when the holder gives up. */
export interface HeartTiming {
  readonly heartbeatMs: number;
  /** After so long without a beat the lock counts as lost. */
  readonly lostAfterMs: number;
  /** After so long a hold the programs that were started are taken to hang, and ended. */
  readonly overdueMs: number;
}

/** See {@link Lock}. */
export class HeldLock implements Lock {
  readonly token: string;
  readonly #claim: Claim;
  readonly #timing: HeartTiming;
  readonly #othersWereThere: boolean;
  /** Ends the heartbeat; it does not keep the process alive either way. */
  readonly #stop: () => void;
  #entry: string;
  #beats = 0;
  readonly #begun = performance.now();
  #lastBeat = performance.now();
  #state: "held" | "lost" | "released" = "held";

  constructor(claim: Claim, timing: HeartTiming, othersWereThere: boolean) {
    this.#claim = claim;
    this.token = claim.token;
    this.#entry = claim.entry;
    this.#timing = timing;
    this.#othersWereThere = othersWereThere;
    this.#stop = repeat(() => this.#beat(), timing.heartbeatMs);
  }

  phase(name: string): void {
    const entry = entryName({ token: this.token, phase: name });
    this.assertHeld();
    if (entry === this.#entry) return;
    const { directory } = this.#claim.options;
    const lock = lockPath(directory);
    try {
      Deno.renameSync(`${lock}/${this.#entry}`, `${lock}/${entry}`);
    } catch (error) {
      // It may have been done and the answer been lost, so the listing decides.
      if (listLock(directory)?.includes(this.#entry) === true) throw unusable(directory, error);
    }
    this.#entry = entry;
    this.assertHeld();
  }

  isHeld(): boolean {
    if (this.#state === "held" && !(this.#heartIsFresh() && this.#isListed())) this.#lose();
    return this.#state === "held";
  }

  assertHeld(): void {
    if (this.isHeld()) return;
    throw new ToolError("locked", "The repository lock was lost while the command was working", {
      hint: "Nothing was published; see where things stand with datalad-slurm status",
    });
  }

  release(): void {
    if (this.#state === "released") return;
    this.#stop();
    this.#state = "released";
    const { directory } = this.#claim.options;
    const lock = lockPath(directory);
    // Never rename or recursively remove the lock: between the two lines it may be another's.
    unreleased.add(this.token);
    removeEntry(`${lock}/${this.#entry}`);
    unreleased.delete(this.token);
    removeEntry(lock);
    if (this.#beats > 0) removeNest(heartbeatPath(directory, this.token));
    this.#claim.returnTicket();
    removeEntry(infoPath(directory, this.token));
    if (this.#othersWereThere) sweep(directory, this.#claim.options.identity);
  }

  #heartIsFresh(): boolean {
    return performance.now() - this.#lastBeat < this.#timing.lostAfterMs;
  }

  #isListed(): boolean {
    try {
      const inside = listLock(this.#claim.options.directory);
      return inside?.length === 1 && inside[0] === this.#entry;
    } catch {
      return false;
    }
  }

  #lose(): void {
    this.#state = "lost";
    this.#stop();
  }

  #beat(): void {
    if (performance.now() - this.#begun > this.#timing.overdueMs) endOverduePrograms();
    if (!this.#heartIsFresh()) return this.#lose();
    try {
      this.#moveHeartbeat();
    } catch {
      // The next beat tries again; a minute without any and the lock counts as lost.
      return;
    }
    if (this.isHeld()) this.#lastBeat = performance.now();
  }

  #moveHeartbeat(): void {
    const { directory, sharedMode } = this.#claim.options;
    const heart = heartbeatPath(directory, this.token);
    const next = String(this.#beats + 1);
    if (this.#beats === 0) {
      makeDirectory(heart, sharedMode);
      makeDirectory(`${heart}/${next}`, sharedMode);
    } else {
      try {
        Deno.renameSync(`${heart}/${this.#beats}`, `${heart}/${next}`);
      } catch (error) {
        if (list(heart)?.includes(next) !== true) throw error;
      }
    }
    this.#beats += 1;
  }
}

/**
 * Calls a function every so many milliseconds until the function returned is called. The first
 * `setTimeout` or `setInterval` of a process costs 6 to 10 ms (Deno 2.9 loads its timers then),
 * `AbortSignal.timeout` below 1 ms; most holds are over before the first beat.
 */
function repeat(action: () => void, milliseconds: number): () => void {
  const first = AbortSignal.timeout(milliseconds);
  let timer: ReturnType<typeof setInterval> | undefined;
  const begin = () => {
    timer = setInterval(action, milliseconds);
    Deno.unrefTimer(timer);
    action();
  };
  first.addEventListener("abort", begin);
  return () => {
    first.removeEventListener("abort", begin);
    if (timer !== undefined) clearInterval(timer);
  };
}
