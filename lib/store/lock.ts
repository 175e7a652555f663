/**
 * The repository lock: all mutations of one repository, from whatever node of the cluster, pass
 * it. It is made of directories alone, without a daemon, for local and network file systems.
 *
 * **Mutual exclusion** is one rename: a prepared directory that already holds its owner's entry
 * becomes `L`, which the file system refuses as long as `L` holds anybody's entry. Every removal
 * names the entry that it removes, and no entry ever comes twice, so that one who is late removes
 * nothing.
 *
 * **The epoch** (`refs/datalad-slurm/epoch`) covers what no lock can: a holder that was suspended,
 * was broken, and comes back in the middle of its work. The rules are:
 *
 * 1. A process reads the epoch before it calls {@link acquireLock}, never later.
 * 2. It publishes by one git transaction that verifies the epoch to be what it has read.
 * 3. A breaker moves the epoch to a value that never was, and only then removes the entry.
 * 4. Whoever is rejected releases the lock, reads the epoch anew, and acquires again.
 *
 * Why this is safe without moving the epoch in every acquisition:
 *
 * - *A revived holder is rejected.* A breaker fences a token that it has seen in `L`; that token's
 *   owner had read the epoch before it was there to be seen (rule 1). So the epoch moves after the
 *   reading, and never comes back (rule 3): the comparison fails for ever. Git compares and
 *   publishes with the epoch locked, hence a publication comes entirely before the fence, when the
 *   publisher was still in `L`, or it is rejected.
 * - *A breaker that dies between fence and rmdir does no harm.* The entry is still there, so nobody
 *   else works; the next breaker fences once more. Were the holder alive after all, it is rejected
 *   and begins again; rule 4 forbids it to read the new epoch and go on, since the rmdir may come.
 * - *A parked breaker does no harm.* Its rmdir names one entry. Either that entry's owner is fenced
 *   and still there, or the entry is gone and the rmdir finds nothing.
 * - *One that read the epoch before somebody else's break* acquires an honest lock, is rejected,
 *   and tries again with what it reads then. A break is rare, so this costs nothing that counts.
 *
 * Had the epoch been read after the acquisition, a fence between acquisition and reading would go
 * unnoticed; had the entry been removed before the fence, the revived holder could publish in
 * between. `fixtures/model/lock.pml` has both mistakes as variants, and finds them.
 */
import { ToolError } from "../errors.ts";
import {
  breakEntry,
  type Fence,
  HolderWatch,
  type IsJobOver,
  sweep,
  type WatchTiming,
} from "./lock_break.ts";
import { Claim, openLockDirectory, unusable } from "./lock_claim.ts";
import { type HeartTiming, HeldLock, type Lock, removeOwnRemains } from "./lock_held.ts";
import { ownIdentity, type ProcessIdentity } from "./lock_identity.ts";
import { readHolder } from "./lock_inspect.ts";
import { describeHolder, type Holder } from "./holder.ts";
import { errorCode, listLock, parseEntry, QUEUE_NAME } from "./lock_layout.ts";

export { breakLock, type Fence, sweepLitter } from "./lock_break.ts";
export { describeHolder, type Holder, type HolderInfo } from "./holder.ts";
export { inspectLock, type LockState } from "./lock_inspect.ts";
export { type Lock } from "./lock_held.ts";
export { LOCK_TOKEN_VARIABLE } from "./lock_identity.ts";

/** All durations in milliseconds; the defaults are for work, others are for tests. */
export interface LockTiming extends HeartTiming, WatchTiming {
  /** After this long, and then every `noticeEveryMs`, one who waits is told for whom. */
  readonly noticeMs: number;
  readonly noticeEveryMs: number;
  /** How often the one who waits asks whether the holder is dead, and tidies up. */
  readonly checkMs: number;
}

const TIMING: LockTiming = {
  heartbeatMs: 5_000,
  lostAfterMs: 60_000,
  overdueMs: 30 * 60_000,
  quietMs: 90_000,
  silenceMs: 15 * 60_000,
  silenceLooks: 20,
  stallMs: 60_000,
  askJobMs: 60_000,
  noticeMs: 2_000,
  noticeEveryMs: 10_000,
  checkMs: 1_000,
};

export interface LockOptions {
  /** `<git common directory>/datalad-slurm/lock`; made when it is not there. */
  readonly directory: string;
  /** What is shown to those who wait, such as `datalad-slurm finish`. */
  readonly command: string;
  /** What the holder does first, see {@link Lock.phase}; "working" when absent. */
  readonly phase?: string | undefined;
  /** How long to wait; for ever when absent, one try when 0. */
  readonly timeoutMs?: number | undefined;
  /** Called after two seconds and then every ten; `place` is 1 for the next in the queue. */
  readonly onWait?: ((holder: Holder, place: number, waitedMs: number) => void) | undefined;
  /**
   * Moves the epoch before a lock is broken. What it sets or reads may replace what the caller has
   * read of the epoch: this acquisition comes later.
   */
  readonly fence: Fence;
  /** The scheduler's word on the holder's job; undefined when it has no answer. */
  readonly isJobOver?: IsJobOver | undefined;
  /** The mode of all directories, by `core.sharedRepository`; the umask decides when absent. */
  readonly sharedMode?: number | undefined;
  /** Ends the wait, without leaving a trace. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<LockTiming> | undefined;
  readonly identity?: ProcessIdentity | undefined;
}

/**
 * Acquires the repository lock and returns it. Waits for its turn where others are there, breaks
 * the lock of a holder that is proven dead, and rejects with a {@link ToolError}: `locked` when the
 * time is over, `interrupted` when the signal says so, `refused` when the directory cannot be used.
 *
 * Where nobody holds the lock and nobody waits, it is acquired without a ticket. Since one listing
 * shows both, this is as fair as with a ticket: whoever sees another there queues up behind it.
 */
export async function acquireLock(options: LockOptions): Promise<Lock> {
  throwIfAborted(options.signal);
  const { directory } = options;
  const timing: LockTiming = { ...TIMING, ...options.timing };
  const names = openLockDirectory(directory, options.sharedMode);
  const isAlone = names.every((name) => name === QUEUE_NAME);
  const claim = new Claim({
    directory,
    command: options.command,
    phase: options.phase ?? "working",
    identity: options.identity ?? ownIdentity(),
    sharedMode: options.sharedMode,
  });
  try {
    claim.prepare();
    if (!isAlone || claim.tryAcquire() !== "acquired") await waitForTurn(claim, options, timing);
  } catch (error) {
    claim.withdraw();
    throw errorCode(error) === undefined ? error : unusable(directory, error);
  }
  return new HeldLock(claim, timing, !isAlone);
}

/** How many tickets at the head of the queue look often. */
const FRONT = 2;

async function waitForTurn(claim: Claim, options: LockOptions, timing: LockTiming): Promise<void> {
  const { directory, timeoutMs = Infinity } = options;
  const started = performance.now();
  const watch = new HolderWatch(directory, claim.options.identity, timing, options.isJobOver);
  const pace = new Pace(started);
  let nextCheck = started;
  let nextNotice = started + timing.noticeMs;
  claim.takeTicket();
  // Those in front get their chance first, unless there is to be one try only.
  let mayTry = claim.rank() < FRONT || timeoutMs <= 0;
  for (;;) {
    throwIfAborted(options.signal);
    if (mayTry) {
      const outcome = claim.tryAcquire();
      if (outcome === "acquired") return claim.returnTicket();
      if (outcome === "lost") renew(claim);
    }
    mayTry = true;
    const rank = claim.rank();
    const [holderName = ""] = listLock(directory) ?? [];
    if (removeOwnRemains(directory, holderName)) continue;
    const now = performance.now();
    pace.note(holderName, rank, now);
    if (now >= nextCheck && holderName !== "") {
      // At once for the first in the queue, who alone gets a dead holder out of the way; a dead
      // ticket may stand in front, so the others follow after a while.
      nextCheck = now + timing.checkMs * (0.5 + Math.random());
      const mayBreak = await watch.mayBreak(holderName);
      if (mayBreak && (rank === 0 || pace.holderAgeMs(now) > timing.checkMs * rank)) {
        const token = parseEntry(holderName)?.token ?? "";
        await breakEntry(directory, holderName, token, options.fence, () => watch.isUnchanged());
        continue;
      }
      if (now - started > timing.checkMs) sweep(directory, claim.options.identity);
    }
    const waitedMs = performance.now() - started;
    if (waitedMs >= timeoutMs) throw timedOut(directory, holderName, waitedMs);
    if (started + waitedMs >= nextNotice && holderName !== "") {
      nextNotice = started + waitedMs + timing.noticeEveryMs;
      options.onWait?.(readHolder(directory, holderName), rank + 1, waitedMs);
    }
    await sleep(Math.min(pace.delayMs(rank), timeoutMs - waitedMs), options.signal);
  }
}

/** A new token for a claim whose candidate somebody has taken away. */
function renew(claim: Claim): void {
  claim.withdraw();
  claim.prepare();
  claim.takeTicket();
}

/** When the one who waits looks next. */
class Pace {
  readonly #started: number;
  #holder = "";
  #holderSince: number;
  #changes = 0;
  #firstRank: number | undefined;
  #rank = 0;
  #now: number;

  constructor(now: number) {
    this.#started = now;
    this.#holderSince = now;
    this.#now = now;
  }

  note(holder: string, rank: number, now: number): void {
    if (holder !== this.#holder) {
      this.#holder = holder;
      this.#holderSince = now;
      this.#changes += 1;
    }
    this.#firstRank ??= rank;
    this.#rank = rank;
    this.#now = now;
  }

  holderAgeMs(now: number): number {
    return now - this.#holderSince;
  }

  /**
   * Returns a duration in milliseconds, a random half more or less. The head of the queue looks
   * often at a holder that has just come, and ever less often at one that stays. The others look
   * when about as many holds as there are tickets before them may be over.
   */
  delayMs(rank: number): number {
    const jitter = 0.5 + Math.random();
    const waited = this.#now - this.#started;
    if (rank < FRONT) return jitter * clamp(this.holderAgeMs(this.#now) / 4, 1, 250);
    const holds = Math.max(1, this.#changes, (this.#firstRank ?? rank) - this.#rank);
    const meanHold = clamp(waited / holds, 2, 1_000);
    return jitter * clamp(rank * meanHold, 1, waited > 300_000 ? 10_000 : 2_000);
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function timedOut(directory: string, holderName: string, waitedMs: number): ToolError {
  const seconds = (waitedMs / 1000).toFixed(1);
  const place = JSON.stringify(directory);
  if (holderName === "") {
    return new ToolError("locked", `Many want the lock ${place}; waited ${seconds} s`);
  }
  const holder = readHolder(directory, holderName);
  return new ToolError(
    "locked",
    `The repository is locked by ${describeHolder(holder)}; waited ${seconds} s`,
    {
      hint: "Wait for it to end, or, if you know that it is dead, run: " +
        `datalad-slurm unlock --force ${holder.token}`,
      details: `Lock: ${place}`,
    },
  );
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ToolError("interrupted", "Interrupted while waiting for the repository lock");
}

/** Resolves after that many milliseconds, or as soon as the signal is aborted. */
function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}
