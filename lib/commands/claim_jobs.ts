import type { Dataset } from "../dataset/dataset.ts";
import { finishedTasks, jobKeyOf, readOpenJobs, type RecordedJob } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { pause, throwIfInterrupted } from "../process/interruption.ts";
import {
  type FinishEntry,
  listEntries,
  readEntry,
  removeEntry,
  writeEntry,
} from "../store/journal.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { type Locked, locked, type LockPatience } from "./locked.ts";
import type { IndexSet } from "../slurm/array.ts";
import { hasEnded } from "./owner.ts";
import { reservedPaths } from "./reserved_paths.ts";
import { newToken } from "./token.ts";

/** A job to claim; of an array perhaps for some tasks alone. */
export interface Claimable {
  readonly job: RecordedJob;
  readonly tasks?: IndexSet | undefined;
}

/** Jobs that nobody else finishes until they are given back. */
export interface Claim {
  /** Those that are still open, by key, as history has them now. */
  readonly jobs: ReadonlyMap<string, RecordedJob>;
  /** Notes in which subdatasets the jobs' files are, before anything changes there. */
  cover(subdatasets: readonly string[]): void;
  /** Gives the jobs back; where something is left of the work, to the next command. */
  giveBack(isSomethingLeft: boolean): void;
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
  wanted: readonly Claimable[],
  patience: LockPatience,
): Promise<Claim> {
  const { journal, base } = dataset.store;
  const token = newToken();
  const { worktree } = dataset.repository;
  const started = performance.now();
  /** Entries of processes that have died in the meantime. */
  const dead = new Set<string>();
  for (let wait = 20;;) {
    const result = await locked(dataset, patience, async (held) => {
      const open = await stillOpen(dataset, wanted, held);
      const rival = open.size === 0 ? undefined : findRival(journal, open, dead);
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
        jobs: [...open].map(([key, { record }]) => ({
          key,
          paths: reservedPaths(record.outputs),
        })),
      };
      writeEntry(journal, entry);
      return claimOf(journal, entry, open);
    });
    if ("giveBack" in result) return result;
    let lastAsked = performance.now();
    let isTold = false;
    while (readEntry(journal, result.token) !== undefined) {
      if (performance.now() - lastAsked > ASK_EVERY) {
        if (await hasEnded(result.owner, result.since)) dead.add(result.token);
        lastAsked = performance.now();
      }
      if (dead.has(result.token) || isGone(result)) break;
      throwIfInterrupted();
      if (!isTold && performance.now() - started > NOTICE_AFTER) {
        isTold = true;
        patience.say?.(`Waiting for ${describeOwner(result)} which is finishing the same jobs`);
      }
      if (
        performance.now() - started >
          (patience.timeoutMs ?? dataset.settings.lockTimeoutMs ?? Infinity)
      ) throw timedOut(result);
      await pause(wait);
      wait = Math.min(wait * 1.5, LONGEST_PAUSE);
    }
  }
}

function claimOf(
  journal: string,
  entry: FinishEntry,
  jobs: ReadonlyMap<string, RecordedJob>,
): Claim {
  return {
    jobs,
    cover(subdatasets) {
      writeEntry(journal, { ...entry, subdatasets: [...subdatasets] });
    },
    giveBack(isSomethingLeft) {
      if (!isSomethingLeft) removeEntry(journal, entry.token);
    },
  };
}

/** Returns what of the jobs is open at the branch's tip, by key. */
async function stillOpen(
  dataset: Dataset,
  wanted: readonly Claimable[],
  held: Locked,
): Promise<Map<string, RecordedJob>> {
  const { commit } = await held.readTip();
  const now = commit === dataset.head ? undefined : (await readOpenJobs(dataset, commit)).jobs;
  const open = now && new Map(now.map((job) => [jobKeyOf(job), job]));
  return new Map(wanted.flatMap(({ job, tasks }) => {
    const key = jobKeyOf(job);
    const current = open === undefined ? job : open.get(key);
    if (current === undefined) return [];
    const isDone = tasks !== undefined && tasks.size > 0 &&
      tasks.without(finishedTasks(current)).size === 0;
    return isDone ? [] : [[key, current] as const];
  }));
}

/** Returns the entry of another process that is finishing one of the jobs. */
function findRival(
  journal: string,
  wanted: ReadonlyMap<string, RecordedJob>,
  dead: ReadonlySet<string>,
): FinishEntry | undefined {
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
