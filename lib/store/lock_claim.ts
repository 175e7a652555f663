import { ToolError } from "../errors.ts";
import { writeHolderInfo } from "./holder.ts";
import type { ProcessIdentity } from "./lock_identity.ts";
import {
  candidatePath,
  entryName,
  errorCode,
  infoPath,
  isOneOf,
  list,
  listLock,
  LOCK_NAME,
  lockPath,
  makeDirectory,
  newToken,
  queuePath,
  removeEntry,
  removeNest,
  ticketName,
  ticketTime,
} from "./lock_layout.ts";

/** What a claim is made from. */
export interface ClaimOptions {
  readonly directory: string;
  readonly command: string;
  readonly phase: string;
  readonly identity: ProcessIdentity;
  readonly sharedMode: number | undefined;
}

/**
 * One process's wish to hold the lock: the info file and the candidate under a token of their own,
 * and a ticket for one that has to wait.
 */
export class Claim {
  readonly options: ClaimOptions;
  token = "";
  entry = "";
  #ticket: string | undefined;

  constructor(options: ClaimOptions) {
    this.options = options;
  }

  /** Makes info file and candidate, under a new token. */
  prepare(): void {
    const { directory, identity, command, phase, sharedMode } = this.options;
    this.token = newToken(identity);
    this.entry = entryName({ token: this.token, phase });
    // The info file comes first and goes last: whatever else is found can be asked whose it is.
    writeHolderInfo(directory, this.token, identity, command, sharedMode);
    const candidate = candidatePath(directory, this.token);
    makeDirectory(candidate, sharedMode);
    makeDirectory(`${candidate}/${this.entry}`, sharedMode);
  }

  /**
   * Renames the candidate to the lock. "acquired" is said only after the lock has been listed and
   * holds exactly our entry, whatever the rename itself answered: the answer may have been lost
   * and the repeated request been told that the candidate is not there. "lost" says that the
   * candidate is gone and the lock is not ours. Throws a {@link ToolError} when the file system
   * does not let us work.
   */
  tryAcquire(): "acquired" | "busy" | "lost" {
    const { directory } = this.options;
    for (let tries = 0;; tries++) {
      try {
        Deno.renameSync(candidatePath(directory, this.token), lockPath(directory));
      } catch (error) {
        if (!isOneOf(error, ["ENOTEMPTY", "EEXIST", "EBUSY", "ENOENT", "ESTALE"])) {
          throw unusable(directory, error);
        }
      }
      const names = list(directory) ?? [];
      const inside = names.includes(LOCK_NAME) ? list(lockPath(directory)) : undefined;
      if (inside?.includes(this.entry) === true) {
        if (inside.length === 1) return "acquired";
        throw new ToolError("refused", `Two own the lock ${JSON.stringify(lockPath(directory))}`, {
          hint: "The file system cannot rename directories atomically; keep the dataset elsewhere",
        });
      }
      if (!names.includes(`t.${this.token}`)) return "lost";
      if (inside?.length !== 0 || tries === 3) return "busy";
      // A file system that does not rename onto an empty directory, or a holder died in between.
      removeEntry(lockPath(directory));
    }
  }

  /** Takes a ticket, unless there is one. */
  takeTicket(): void {
    if (this.#ticket !== undefined) return;
    const queue = queuePath(this.options.directory);
    const times = (list(queue) ?? []).map(ticketTime).filter((time) => time !== undefined);
    // Behind the last one, whose clock may be days ahead of ours or behind.
    this.#ticket = ticketName(times.length === 0 ? Date.now() : Math.max(...times) + 1, this.token);
    makeDirectory(`${queue}/${this.#ticket}`, this.options.sharedMode);
  }

  /** Returns how many tickets are in front of ours. */
  rank(): number {
    const queue = list(queuePath(this.options.directory)) ?? [];
    return Math.max(0, queue.findIndex((name) => name === this.#ticket));
  }

  /** Gives the ticket back. */
  returnTicket(): void {
    if (this.#ticket === undefined) return;
    removeEntry(`${queuePath(this.options.directory)}/${this.#ticket}`);
    this.#ticket = undefined;
  }

  /** Removes every trace of this claim, and the lock itself should it have come to be ours. */
  withdraw(): void {
    const { directory } = this.options;
    removeNest(candidatePath(directory, this.token));
    if (listLock(directory)?.includes(this.entry) === true) {
      removeEntry(`${lockPath(directory)}/${this.entry}`);
      removeEntry(lockPath(directory));
    }
    this.returnTicket();
    removeEntry(infoPath(directory, this.token));
  }
}

/**
 * Returns the names in the lock's directory, which is made when it is not there. Throws a
 * {@link ToolError} when it cannot be made or read.
 */
export function openLockDirectory(directory: string, sharedMode: number | undefined): string[] {
  try {
    let names = list(directory);
    if (names === undefined) {
      makeParents(directory, sharedMode);
      names = [];
    }
    // Another process may have died after making the one and before making the other.
    if (!names.includes("q")) makeDirectory(queuePath(directory), sharedMode);
    return names;
  } catch (error) {
    throw unusable(directory, error);
  }
}

/** Returns the error for a lock directory that cannot be used. */
export function unusable(directory: string, cause: unknown): ToolError {
  const reason = errorCode(cause) ?? (cause instanceof Error ? cause.name : "unknown trouble");
  return new ToolError("refused", `Cannot lock the repository in ${JSON.stringify(directory)}`, {
    hint: "Make sure that you may write there and that there is space left",
    details: `${reason}: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  });
}

function makeParents(directory: string, sharedMode: number | undefined): void {
  try {
    makeDirectory(directory, sharedMode);
  } catch (error) {
    if (!isOneOf(error, ["ENOENT"])) throw error;
    // Two levels are ours; the git common directory has to be there.
    makeDirectory(directory.slice(0, directory.lastIndexOf("/")), sharedMode);
    makeDirectory(directory, sharedMode);
  }
}
