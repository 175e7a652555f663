import type { Dataset } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { createCommitSeries, type SeriesCommit } from "../git/commit_series.ts";
import { readIdentity } from "../git/identity.ts";
import type { StagedChange } from "../git/changes.ts";
import { entriesInCommit, pathsInCommit, stagedChanges, takeOff } from "../git/staged.ts";
import { takeIn, takeInWithAnnex, type TakenIn, unstage } from "../git/stage.ts";
import { IndexDraft, indexLock } from "../git/index_draft.ts";
import { removeRefs, type Tip } from "../git/refs.ts";
import { stageSubdatasets } from "../git/subdatasets.ts";
import { pause, throwIfInterrupted, uninterrupted } from "../process/interruption.ts";
import { type FinishEntry, hasEntry, removeEntry, writeEntry } from "../store/journal.ts";
import { ownIdentity } from "../store/lock_identity.ts";
import { settleDeadDrafts } from "./dead_drafts.ts";
import { ensureAnnex } from "./ensure_annex.ts";
import { type Locked, locked, type LockPatience } from "./locked.ts";
import { newToken } from "./token.ts";

/** What one job changes in one repository; paths are relative to that repository. */
export interface JobFilesToCommit {
  readonly key: string;
  readonly files: readonly string[];
  readonly deleted: readonly string[];
  /** Subdatasets that the job has changed, with their new commits. */
  readonly subdatasets: readonly StagedChange[];
  readonly message: string;
  /** The job's own branch, as a full ref name, and the commit it begins at. */
  readonly branch: string;
  readonly scheduledIn: string;
}

/**
 * How the commits of several jobs lie in history: one after the other on the branch, each on a
 * branch of its own from where it was scheduled, or like that and merged in one commit.
 */
export type CommitLayout = "linear" | "branches" | "octopus";

/** The files of jobs on their way into one repository. */
export interface FilesInRepository {
  readonly dataset: Dataset;
  readonly layout: CommitLayout;
  readonly takenIn: TakenIn;
  readonly draft: IndexDraft;
  /** The journal entry that stands until the branch has moved. */
  readonly entry: FinishEntry;
  /** Whether the branch has moved. */
  isPublished: boolean;
}

/** How the commits of one repository are made. */
export interface CommitOptions {
  /** Whether a job without any change gets a commit as well. */
  readonly evenWithoutChanges: boolean;
  /** Leaves out jobs that are not open at a commit, where the branch is now. */
  readonly stillWanted: (
    jobs: readonly JobFilesToCommit[],
    tip: string,
  ) => Promise<readonly JobFilesToCommit[]>;
  /** Under the lock, when the branch has moved, with the keys of the jobs that are committed. */
  readonly afterwards: (keys: Iterable<string>) => void;
}

/**
 * Takes files in: git or git-annex has their content then, but the index is as it was. A journal entry
 * is written first, by which another command clears away what this one leaves if it is killed.
 */
export async function takeFilesIn(
  dataset: Dataset,
  jobs: readonly Pick<FinishEntry["jobs"][number], "key" | "tasks">[],
  files: readonly string[],
  layout: CommitLayout,
  patience: LockPatience,
): Promise<FilesInRepository> {
  const { root, repository, store } = dataset;
  const hasAnnex = files.length === 0 ? dataset.hasAnnex : await ensureAnnex(dataset, patience);
  const token = newToken();
  const entry: FinishEntry = {
    version: 1,
    kind: "finish",
    token,
    owner: ownIdentity(),
    since: Date.now(),
    ...(repository.worktree === undefined ? {} : { worktree: repository.worktree }),
    temporaryRef: `refs/datalad-slurm/finishing/${token}`,
    temporaryIndex: `${store.base}/index-${token}`,
    // What is reserved is released by whoever has claimed the jobs.
    jobs: jobs.map((job) => ({ ...job, paths: [] })),
    ...(layout === "branches" ? { branches: true } : {}),
  };
  await locked(dataset, patience, () => Promise.resolve(writeEntry(store.journal, entry)));
  const draft = IndexDraft.of(repository, entry.temporaryIndex);
  try {
    const takenIn = hasAnnex
      ? await takeInWithAnnex(root, files, draft, patience.begin?.("Adding outputs"))
      : await takeIn(root, files, draft);
    return { dataset, layout, takenIn, draft, entry, isPublished: false };
  } catch (error) {
    draft.discard();
    removeEntry(store.journal, token);
    throw error;
  }
}

/** Undoes {@link takeFilesIn}, but for what the annex has already: the index never hears of the files. */
export async function leaveFilesOut(
  { dataset, takenIn, draft, entry }: FilesInRepository,
): Promise<void> {
  await takenIn.stage();
  draft.discard();
  removeEntry(dataset.store.journal, entry.token);
}

/**
 * Does the same after a failure, and says whether nothing is left: what is published already, and
 * what cannot be undone, is left to the next command, which finds the journal entry.
 */
export async function abandonFiles(files: FilesInRepository): Promise<boolean> {
  const { dataset: { repository, store }, takenIn, draft, entry } = files;
  if (files.isPublished || !hasEntry(store.journal, entry.token)) return false;
  try {
    return await uninterrupted(async () => {
      // It ends git-annex, which would write the draft later. What it fails with has been told.
      await takenIn.stage().catch(() => {});
      await removeRefs(repository, [entry.temporaryRef]);
      draft.discard();
      removeEntry(store.journal, entry.token);
      return true;
    });
  } catch {
    return false;
  }
}

/**
 * Commits the files of jobs in one repository, one commit a job, on its branch; returns the
 * commits by job key. Nothing but these files is in the commits, whatever else is staged.
 */
export async function commitFiles(
  files: FilesInRepository,
  jobs: readonly JobFilesToCommit[],
  options: CommitOptions,
  patience: LockPatience,
): Promise<Map<string, string>> {
  const { dataset, layout, takenIn, draft, entry } = files;
  const [author, committer] = await Promise.all([
    readIdentity(dataset.root, "AUTHOR"),
    readIdentity(dataset.root, "COMMITTER"),
  ]);
  const series: Series = {
    ...options,
    layout,
    passedOver: new Set(takenIn.ignored),
    temporaryRef: entry.temporaryRef,
    author,
    committer,
  };
  const started = performance.now();
  const staging: Staging = { own: [], wasBusy: false };
  for (;; staging.wasBusy = true) {
    const commits = await locked(dataset, patience, async (held) => {
      requireEntry(dataset, entry);
      await settleDeadDrafts(dataset);
      held.lock.phase("index");
      await takenIn.stage();
      await unstage(dataset.root, jobs.flatMap(({ deleted }) => deleted), draft);
      const subdatasets = latest(jobs.flatMap((job) => job.subdatasets));
      await stageSubdatasets(dataset.root, subdatasets, draft);
      const made = await publishSeries(files, held, jobs, series, staging);
      if (made === undefined) return undefined;
      options.afterwards(made.keys());
      draft.discard();
      removeEntry(dataset.store.journal, entry.token);
      return made;
    });
    if (commits !== undefined) return commits;
    await indexIsFree(dataset, started);
  }
}

/** Throws where somebody has said that this command is dead, and another one has taken over. */
function requireEntry({ store }: Dataset, { token }: FinishEntry): void {
  if (hasEntry(store.journal, token)) return;
  throw new ToolError("locked", "This command was said to be dead, and another one goes on", {
    hint: "Nothing was published; see where things stand with datalad-slurm status",
  });
}

/** Longest wait for an index that another git command holds, in milliseconds. */
const INDEX_PATIENCE_MS = 60_000;

/** Waits, without the repository lock, until no other git command holds the index. */
async function indexIsFree({ repository }: Dataset, started: number): Promise<void> {
  for (let wait = 50;; wait = Math.min(wait * 1.5, 1_000)) {
    const lock = indexLock(repository);
    const isLate = performance.now() - started > INDEX_PATIENCE_MS;
    if (lock === undefined && !isLate) return;
    if (isLate) {
      throw new ToolError("external", "The index could not be written", {
        hint: "Another git command holds it; if none is at work, remove the file",
        details: lock ?? "Others take it again and again",
      });
    }
    await pause(wait);
    throwIfInterrupted();
  }
}

interface Series extends CommitOptions {
  readonly layout: CommitLayout;
  /** Files that git ignores. */
  readonly passedOver: ReadonlySet<string>;
  readonly temporaryRef: string;
  readonly author: string;
  readonly committer: string;
}

/** What is known from earlier tries to make the commits. */
interface Staging {
  /** What the draft holds of the jobs, to be put into a newer copy of the index. */
  own: readonly StagedChange[];
  /** Whether another git command held the index. */
  wasBusy: boolean;
}

/** After so many commits of somebody else's in our way the index is locked from the start. */
const UNLOCKED_ATTEMPTS = 2;

/**
 * Builds the commits on the branch's tip and moves the branch; again, if it has moved meanwhile.
 * Returns the commits by job key, or undefined where another git command holds the index.
 */
async function publishSeries(
  files: FilesInRepository,
  held: Locked,
  jobs: readonly JobFilesToCommit[],
  series: Series,
  staging: Staging,
): Promise<Map<string, string> | undefined> {
  const { dataset, draft } = files;
  const { root, repository } = dataset;
  // On branches of their own the jobs' files are not the index's business.
  const touchesIndex = series.layout !== "branches";
  for (let attempt = 1;; attempt++) {
    let holdsIndex = false;
    let moved = false;
    try {
      if (touchesIndex && (staging.wasBusy || attempt > UNLOCKED_ATTEMPTS)) {
        if (!await draft.lock(staging.own)) return undefined;
        holdsIndex = true;
      }
      const tip = await held.readTip();
      requireBranch(dataset, tip);
      // The branch may have been reset, and the jobs not be in its history any more.
      const wanted = await series.stillWanted(jobs, tip.commit);
      const staged = await stagedChanges(root, tip.commit, draft);
      await requireStaged(root, wanted, staged, series.passedOver, tip.commit);
      const changes = changesByJob(wanted, staged);
      const committing = series.evenWithoutChanges
        ? wanted
        : wanted.filter(({ key }) => (changes.get(key)?.length ?? 0) > 0);
      if (committing.length === 0) {
        // An earlier try has made commits that nobody wants any more.
        if (staging.wasBusy || attempt > 1) await removeRefs(repository, [series.temporaryRef]);
        return new Map();
      }
      const plan = await planSeries(root, committing, changes, tip.commit, series.layout);
      const ids = await createCommitSeries(root, plan, {
        ...series,
        sign: dataset.configuration.getBoolean("commit.gpgsign", false),
      });
      staging.own = committing.flatMap(({ key }) => changes.get(key) ?? []);
      if (touchesIndex) {
        // The files of jobs that are left out must not come to be staged.
        const hasOthers = committing.length < jobs.length;
        if (holdsIndex && hasOthers) draft.unlock();
        if (!holdsIndex || hasOthers) holdsIndex = await draft.lock(staging.own, hasOthers);
        if (!holdsIndex) return undefined;
      }
      if (holdsIndex && !draft.put()) return undefined;
      moved = await held.publish({
        ref: repository.branch,
        newId: touchesIndex ? ids.at(-1) ?? tip.commit : tip.commit,
        oldId: tip.commit,
        create: series.layout === "linear"
          ? []
          : committing.map(({ branch }, index) => ({ ref: branch, id: ids[index] ?? "" })),
        remove: [series.temporaryRef],
        reason: `datalad-slurm finish: ${committing.length} jobs`,
      });
      if (!moved) continue;
      files.isPublished = true;
      if (!touchesIndex) {
        // A merge of the branches wants no untracked files in its way.
        const paths = new Set(staging.own.map(({ path }) => path));
        await takeOff(root, staged.filter(({ path }) => paths.has(path)));
      }
      return new Map(committing.map(({ key }, index) => [key, ids[index] ?? ""]));
    } finally {
      if (holdsIndex) {
        if (moved) draft.keep();
        else draft.unlock();
      }
    }
  }
}

function requireBranch({ repository: { branch } }: Dataset, { checkedOut }: Tip): void {
  if (checkedOut === branch) return;
  throw new ToolError("refused", `HEAD was switched to ${checkedOut} meanwhile`, {
    hint: "Run the command again on the branch that the jobs belong to",
  });
}

/** Returns the commits to make; with `octopus` the last one merges all others. */
async function planSeries(
  root: string,
  jobs: readonly JobFilesToCommit[],
  changes: ReadonlyMap<string, readonly StagedChange[]>,
  tip: string,
  layout: CommitLayout,
): Promise<SeriesCommit[]> {
  if (layout === "linear") {
    return jobs.map(({ key, message }, index) => ({
      message,
      changes: changes.get(key) ?? [],
      parents: [index === 0 ? tip : index - 1],
    }));
  }
  // Where a job was scheduled its files may differ from the tip's, so all of them are named.
  const files = jobs.flatMap((job) => job.files);
  const unchanged = files.length === 0 ? [] : await entriesInCommit(root, tip, files);
  const atTip = new Map(unchanged.map((entry) => [entry.path, entry]));
  const branches = jobs.map(({ key, message, files: own, scheduledIn }) => {
    const changed = changes.get(key) ?? [];
    const named = new Set(changed.map(({ path }) => path));
    const same = own.flatMap((path) => named.has(path) ? [] : atTip.get(path) ?? []);
    return { message, changes: [...changed, ...same], parents: [scheduledIn] };
  });
  if (layout === "branches") return branches;
  const ids = jobs.map(({ branch }) => branch.slice(branch.lastIndexOf("/") + 1)).join(", ");
  return [...branches, {
    message: `Merge the results of ${jobs.length} jobs\n\n${ids}\n`,
    changes: jobs.flatMap(({ key }) => changes.get(key) ?? []),
    parents: [tip, ...jobs.keys()],
  }];
}

/** Parts what is staged among the jobs whose files it is; all else stays out. */
function changesByJob(
  jobs: readonly JobFilesToCommit[],
  staged: readonly StagedChange[],
): Map<string, StagedChange[]> {
  const owners = new Map(
    jobs.flatMap(({ key, files, deleted }) =>
      [...files, ...deleted].map((path) => [path, key] as const)
    ),
  );
  const changes = new Map(jobs.map(({ key, subdatasets }) => [key, [...subdatasets]]));
  for (const change of staged) {
    const owner = owners.get(change.path);
    if (owner !== undefined) changes.get(owner)?.push(change);
  }
  return changes;
}

/**
 * Throws when a file was taken in and is neither staged nor in the commit already: then it would
 * be missing from the job's commit without a word.
 */
async function requireStaged(
  root: string,
  jobs: readonly JobFilesToCommit[],
  staged: readonly StagedChange[],
  passedOver: ReadonlySet<string>,
  tip: string,
): Promise<void> {
  const paths = new Set(staged.map(({ path }) => path));
  const unchanged = jobs.flatMap(({ files }) =>
    files.filter((path) => !paths.has(path) && !passedOver.has(path))
  );
  if (unchanged.length === 0) return;
  const known = await pathsInCommit(root, tip, unchanged);
  const lost = unchanged.filter((path) => !known.has(path));
  if (lost.length > 0) {
    throw new ToolError("external", `${JSON.stringify(lost[0])} could not be staged`, {
      hint: "Nothing was committed; run the command again",
      details: lost.slice(0, 20).join("\n"),
    });
  }
}

/** Returns the last change of each path. */
function latest(changes: readonly StagedChange[]): StagedChange[] {
  return [...new Map(changes.map((change) => [change.path, change])).values()];
}
