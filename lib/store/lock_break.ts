import { ToolError } from "../errors.ts";
import { type HolderInfo, readHolderInfo } from "./holder.ts";
import {
  endingOf,
  isPidGone,
  mayHaveChildren,
  ownIdentity,
  type ProcessIdentity,
} from "./lock_identity.ts";
import {
  candidatePath,
  heartbeatPath,
  infoPath,
  infoToken,
  list,
  listLock,
  lockPath,
  parseEntry,
  QUEUE_NAME,
  queuePath,
  removeEntry,
  removeNest,
  ticketToken,
  tokenPid,
} from "./lock_layout.ts";

/**
 * Moves the epoch, so that git rejects whatever the dead holder may yet want to publish. It
 * resolves once the epoch differs from what it was when the call began, by whomsoever; a lost
 * compare-and-swap is thus as good as a won one. It sets a blob of `epochText`, which never comes
 * twice: were a value to return, a holder that had read it earlier would be believed again.
 */
export type Fence = (deadToken: string, epochText: string) => Promise<void>;

/**
 * Breaks the lock of one token, dead or not: the user's word is enough. Returns "gone" when that
 * token does not hold the lock; rejects when the fence does.
 */
export async function breakLock(
  directory: string,
  token: string,
  fence: Fence,
): Promise<"broken" | "gone"> {
  if (heldEntry(directory, token) === undefined) return "gone";
  await fence(token, newEpochText(token));
  // A living holder may change its phase, and so the name, between our look and our rmdir.
  for (let tries = 0; tries < 20; tries++) {
    const name = heldEntry(directory, token);
    if (name === undefined) return "gone";
    if (removeEntry(`${lockPath(directory)}/${name}`)) {
      removeLeftovers(directory, token);
      return "broken";
    }
  }
  throw new ToolError("refused", `Lock ${JSON.stringify(lockPath(directory))} cannot be emptied`, {
    hint: "Look for files in it that are not datalad-slurm's",
  });
}

/**
 * Breaks the lock of a holder that is dead, or that is silent in the phase of this entry: fences,
 * then removes that very entry. A holder that changes its phase meanwhile keeps the lock.
 */
export async function breakEntry(
  directory: string,
  name: string,
  token: string,
  fence: Fence,
  isStillDead: () => boolean,
): Promise<void> {
  await fence(token, newEpochText(token));
  if (!isStillDead()) return;
  if (removeEntry(`${lockPath(directory)}/${name}`)) removeLeftovers(directory, token);
}

/** Removes what a token has left behind, except the lock itself. */
export function removeLeftovers(directory: string, token: string): void {
  removeNest(candidatePath(directory, token));
  // A rename of the candidate may have been under way when its owner died; now it cannot be.
  if (heldEntry(directory, token) !== undefined) return;
  removeNest(heartbeatPath(directory, token));
  const queue = queuePath(directory);
  for (const name of list(queue) ?? []) {
    if (ticketToken(name) === token) removeEntry(`${queue}/${name}`);
  }
  removeEntry(infoPath(directory, token));
}

const SWEEP_SAMPLE = 8;
const HOUR_MS = 3_600_000;

/**
 * Removes the leftovers of tokens that are proven dead, of a random few: many who wait do this at
 * the same time.
 */
export function sweep(
  directory: string,
  observer: ProcessIdentity = ownIdentity(),
  most = SWEEP_SAMPLE,
): void {
  const tokens = (list(directory) ?? []).map(infoToken).filter((token) => token !== undefined);
  const first = Math.floor(Math.random() * tokens.length);
  for (const token of [...tokens.slice(first), ...tokens].slice(0, Math.min(most, tokens.length))) {
    if (isLeftover(directory, token, observer)) removeLeftovers(directory, token);
  }
}

/** Tidies up where a listing shows that there may be something: one call where there is not. */
export function sweepLitter(directory: string): void {
  const names = list(directory) ?? [];
  if (names.some((name) => name !== QUEUE_NAME)) sweep(directory, ownIdentity(), names.length);
}

function isLeftover(directory: string, token: string, observer: ProcessIdentity): boolean {
  const info = readHolderInfo(directory, token);
  if (info === undefined) {
    // Cut short while it was written, or of another version.
    const pid = tokenPid(token, observer.host);
    return pid !== undefined && isPidGone(pid) || ageMs(infoPath(directory, token)) > 24 * HOUR_MS;
  }
  const ending = endingOf(info, observer);
  return ending === "gone" ||
    (ending === "rebooted" && ageMs(infoPath(directory, token)) > HOUR_MS);
}

/** How long a holder's silence has to last, in milliseconds of the observer's monotonic clock. */
export interface WatchTiming {
  /** Silence that makes a reboot or the end of a Slurm job believable. */
  readonly quietMs: number;
  /** Silence that is enough by itself while nothing but refs is changed. */
  readonly silenceMs: number;
  readonly silenceLooks: number;
  /** A gap between two looks that makes the observer doubt its own clock and start again. */
  readonly stallMs: number;
  /** How often the scheduler is asked at most. */
  readonly askJobMs: number;
}

/** The phase in which a holder does nothing that the fence does not cover. */
export const REFS_ONLY = "refs only";

/** The scheduler's word on the job that a process was part of at that time. */
export type IsJobOver = (process: ProcessIdentity, at: Date) => Promise<boolean | undefined>;

/**
 * Watches who holds the lock, from one waiting process, and says when the lock may be broken. All
 * time is the observer's own: what it saw change, and how long it saw nothing change.
 */
export class HolderWatch {
  readonly #directory: string;
  readonly #observer: ProcessIdentity;
  readonly #timing: WatchTiming;
  readonly #isJobOver: IsJobOver | undefined;
  #name = "";
  #beat = "";
  #unchangedSince = 0;
  #lastLook = 0;
  #looks = 0;
  #askedJob = -Infinity;

  constructor(
    directory: string,
    observer: ProcessIdentity,
    timing: WatchTiming,
    isJobOver: IsJobOver | undefined,
  ) {
    this.#directory = directory;
    this.#observer = observer;
    this.#timing = timing;
    this.#isJobOver = isJobOver;
  }

  /** Says whether the holder with this entry may be broken, after one more look at it. */
  async mayBreak(name: string): Promise<boolean> {
    const entry = parseEntry(name);
    if (entry === undefined) return false;
    this.#look(name, entry.token);
    const info = readHolderInfo(this.#directory, entry.token);
    const refsOnly = entry.phase === REFS_ONLY;
    const ending = info === undefined ? "unknown" : endingOf(info, this.#observer);
    if (ending === "gone") {
      return refsOnly || (info !== undefined && !mayHaveChildren(info, entry.token));
    }
    const silentMs = this.#lastLook - this.#unchangedSince;
    if (silentMs >= this.#timing.quietMs) {
      if (ending === "rebooted") return true;
      if (info?.slurmJobId !== undefined && await this.#saysJobIsOver(info)) {
        return this.isUnchanged();
      }
    }
    return refsOnly && silentMs >= this.#timing.silenceMs &&
      this.#looks >= this.#timing.silenceLooks;
  }

  /** Says whether entry and heartbeat are still as at the last look. */
  isUnchanged(): boolean {
    const token = parseEntry(this.#name)?.token;
    return token !== undefined && listLock(this.#directory)?.includes(this.#name) === true &&
      this.#readBeat(token) === this.#beat;
  }

  #look(name: string, token: string): void {
    const now = performance.now();
    const beat = this.#readBeat(token);
    const stalled = now - this.#lastLook > this.#timing.stallMs;
    if (name !== this.#name || beat !== this.#beat || stalled) {
      this.#name = name;
      this.#beat = beat;
      this.#unchangedSince = now;
      this.#looks = 0;
    }
    this.#lastLook = now;
    this.#looks += 1;
  }

  /** An absent heartbeat is one that has not begun, and it does not move either. */
  #readBeat(token: string): string {
    return (list(heartbeatPath(this.#directory, token)) ?? []).join(" ");
  }

  async #saysJobIsOver(holder: HolderInfo): Promise<boolean> {
    const now = performance.now();
    if (this.#isJobOver === undefined || now - this.#askedJob < this.#timing.askJobMs) return false;
    this.#askedJob = now;
    return await this.#isJobOver(holder, new Date(holder.since)) === true;
  }
}

function heldEntry(directory: string, token: string): string | undefined {
  return listLock(directory)?.find((name) => parseEntry(name)?.token === token);
}

function newEpochText(deadToken: string): string {
  return `${deadToken} broken ${crypto.randomUUID()}\n`;
}

function ageMs(path: string): number {
  try {
    return Date.now() - (Deno.statSync(path).mtime?.getTime() ?? Date.now());
  } catch {
    return 0;
  }
}
