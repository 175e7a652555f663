import type { Dataset } from "../dataset/dataset.ts";
import { jobKeyOf, readOpenJobs } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { throwIfInterrupted } from "../process/interruption.ts";
import {
  type FinishEntry,
  listEntries,
  readEntry,
  removeEntry,
  writeEntry,
} from "../store/journal.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { type Locked, locked, type LockPatience } from "./locked.ts";
import { hasEnded } from "./owner.ts";
import { newToken } from "./token.ts";

/** Jobs that nobody else finishes until they are given back. */
export interface Claim {
  /** The keys of those that are still open. */
  readonly keys: ReadonlySet<string>;
  /** Notes in which subdatasets the jobs' files are, before anything changes there. */
  cover(subdatasets: readonly string[]): void;
  giveBack(): void;
}

/** Longest pause between two looks at another process's claim, in milliseconds. */
const LONGEST_PAUSE = 500;

/** After so many milliseconds one who waits is told for whom. */
const NOTICE_AFTER = 2_000;

/** How often it is found out whether that process is dead, on whatever machine; milliseconds. */
const ASK_EVERY = 15_000;

/**
 * Claims jobs for this process, waiting for other processes that are finishing any of them: two
 * `git annex add` of one file at the same time can undo each other's work (10.20230126), and then
 * the file is missing from the commit. Throws a {@link ToolError} of kind `locked` when the patience
 * is over.
 */
export async function claimJobs(
  dataset: Dataset,
  jobs: FinishEntry["jobs"],
  patience: LockPatience,
): Promise<Claim> {
  const { journal, base } = dataset.store;
  const token = newToken();
  const { worktree } = dataset.repository;
  const started = performance.now();
  /** Entries of processes that have died in the meantime. */
  const dead = new Set<string>();
  for (let pause = 20;; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
    const result = await locked(dataset, patience, async (held) => {
      const open = await stillOpen(dataset, jobs, held);
      const rival = open.length === 0 ? undefined : findRival(journal, open, dead);
      if (rival !== undefined) return rival;
      const entry: FinishEntry = {
        version: 1,
        kind: "finish",
        token,
        owner: ownIdentity(),
        since: Date.now(),
        ...(worktree === undefined ? {} : { worktree }),
        temporaryRef: `refs/datalad-slurm/finishing/${token}`,
        temporaryIndex: `${base}/index-${token}`,
        jobs: open,
      };
      writeEntry(journal, entry);
      return claimOf(journal, entry);
    });
    if ("keys" in result) return result;
    let lastAsked = performance.now();
    let isTold = false;
    while (readEntry(journal, result.token) !== undefined) {
      if (performance.now() - lastAsked > ASK_EVERY) {
        if (await hasEnded(result.owner)) dead.add(result.token);
        lastAsked = performance.now();
      }
      if (dead.has(result.token) || isGone(result)) break;
      throwIfInterrupted();
      if (!isTold && performance.now() - started > NOTICE_AFTER) {
        isTold = true;
        patience.say?.(`Waiting for ${describeOwner(result)} which is finishing the same jobs`);
      }
      if (performance.now() - started > (patience.timeoutMs ?? Infinity)) throw timedOut(result);
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
      pause = Math.min(pause * 1.5, LONGEST_PAUSE);
    }
  }
}

function claimOf(journal: string, entry: FinishEntry): Claim {
  return {
    keys: new Set(entry.jobs.map(({ key }) => key)),
    cover: (subdatasets) => writeEntry(journal, { ...entry, subdatasets: [...subdatasets] }),
    giveBack: () => removeEntry(journal, entry.token),
  };
}

async function stillOpen(
  dataset: Dataset,
  jobs: FinishEntry["jobs"],
  held: Locked,
): Promise<FinishEntry["jobs"]> {
  const { commit } = await held.readTip();
  if (commit === dataset.head) return jobs;
  const open = new Set((await readOpenJobs(dataset, commit)).jobs.map(jobKeyOf));
  return jobs.filter(({ key }) => open.has(key));
}

/** Returns the entry of another process that is finishing one of the jobs. */
function findRival(
  journal: string,
  jobs: FinishEntry["jobs"],
  dead: ReadonlySet<string>,
): FinishEntry | undefined {
  const wanted = new Set(jobs.map(({ key }) => key));
  for (const token of listEntries(journal)) {
    const entry = readEntry(journal, token);
    if (
      entry?.kind === "finish" && entry.jobs.some(({ key }) => wanted.has(key)) &&
      !dead.has(token) && !isGone(entry)
    ) return entry;
  }
  return undefined;
}

function isGone({ owner }: FinishEntry): boolean {
  return endingOf(owner, ownIdentity()) !== "unknown";
}

function timedOut(entry: FinishEntry): ToolError {
  return new ToolError("locked", `${describeOwner(entry)} is finishing the same jobs`, {
    hint: "Wait for it to end, or look at `datalad-slurm recover --report` if it is dead",
  });
}

function describeOwner({ owner }: FinishEntry): string {
  return `${owner.user}@${owner.host}, pid ${owner.pid},`;
}
