import { ToolError } from "../errors.ts";
import { pause } from "../process/interruption.ts";
import { externalError, type RunResult, text } from "../process/run.ts";
import { git } from "./git.ts";
import { EPOCH_REF, type Repository } from "./repository.ts";

/** Where a branch and the lock's epoch stand at one moment. */
export interface Tip {
  readonly commit: string;
  readonly epoch: string | undefined;
  /** The branch that HEAD names now, as a full ref name, or `HEAD` when it is detached. */
  readonly checkedOut: string;
}

/** Returns where the repository's branch stands now. Throws a {@link ToolError} when it is gone. */
export async function readTip(repository: Repository): Promise<Tip> {
  const mark = "--datalad-slurm-mark";
  const result = await git(repository.root, [
    "rev-parse",
    "--glob=refs/datalad-slurm/epoc[h]",
    mark,
    repository.branch,
    "--symbolic-full-name",
    "HEAD",
  ], { tolerate: [128] });
  const [epoch = "", heads = ""] = text(result.stdout).split(`${mark}\n`);
  const [commit, checkedOut] = heads.trim().split("\n");
  if (result.code !== 0 || !commit || !checkedOut) {
    throw externalError(result, `Branch ${JSON.stringify(repository.branch)} is gone`);
  }
  return { commit, epoch: epoch.trim() || undefined, checkedOut };
}

/** A change of refs that happens as a whole or not at all. */
export interface RefTransaction {
  readonly ref: string;
  readonly newId: string;
  /** The commit that the ref must still name. */
  readonly oldId: string;
  /** The epoch that the lock's holder has seen; the transaction fails when it has moved. */
  readonly epoch: string | undefined;
  /** Refs that are made in the same step, and must not be there yet. */
  readonly create?: readonly { readonly ref: string; readonly id: string }[];
  /** Refs that are removed in the same step. */
  readonly remove?: readonly string[];
  /** What the reflog says. */
  readonly reason: string;
}

/**
 * Moves a ref in one `git update-ref` transaction. Returns false when the ref or the epoch is not
 * where the caller has seen it, so that it can look again; throws a {@link ToolError} when git
 * fails for another reason.
 */
export async function publish(repository: Repository, change: RefTransaction): Promise<boolean> {
  const started = performance.now();
  for (let wait = 20;; wait = Math.min(wait * 2, 1000)) {
    const result = await updateRefs(repository, change);
    if (result.code === 0) return true;
    const now = await readTip(repository);
    if (now.commit === change.newId && change.newId !== change.oldId) {
      // git moves the branch before it writes the reflogs of other refs, says that it failed where
      // one of them cannot be written, and leaves out what comes behind (2.39).
      const rest = [
        ...(change.create ?? []).map(({ ref, id }) => `update ${ref} ${id}\n`),
        ...(change.remove ?? []).map((ref) => `delete ${ref}\n`),
      ];
      // That this fails too must not hide that the branch has moved.
      await git(repository.root, ["update-ref", "--stdin"], { stdin: rest.join("") })
        .catch(() => {});
      return true;
    }
    if (now.commit !== change.oldId || now.epoch !== change.epoch) return false;
    // git waits for the lock of a branch, but not for that of HEAD (2.39).
    const isLocked = /Unable to create '.*\.lock': File exists/.test(result.stderr);
    if (!isLocked || performance.now() - started > PATIENCE_MS) {
      throw externalError(result, `Branch ${JSON.stringify(change.ref)} could not be moved`);
    }
    await pause(wait);
  }
}

/** Longest wait for a ref that another git command holds, in milliseconds. */
const PATIENCE_MS = 60_000;

async function updateRefs(repository: Repository, change: RefTransaction): Promise<RunResult> {
  return await git(repository.root, [
    "update-ref",
    "-m",
    change.reason,
    "--stdin",
  ], {
    stdin: [
      "start",
      `verify ${EPOCH_REF} ${change.epoch ?? repository.nullId}`,
      change.newId === change.oldId
        ? `verify ${change.ref} ${change.oldId}`
        : `update ${change.ref} ${change.newId} ${change.oldId}`,
      ...(change.create ?? []).map(({ ref, id }) => `create ${ref} ${id}`),
      ...(change.remove ?? []).map((ref) => `delete ${ref}`),
      "prepare",
      "commit",
      "",
    ].join("\n"),
    tolerate: [1, 128],
  });
}

/**
 * Moves the epoch to a blob of a text that never was there before, so that a lock holder who has
 * seen the old one can publish nothing.
 */
export async function moveEpoch(repository: Repository, epochText: string): Promise<void> {
  const blob = await git(repository.root, ["hash-object", "-w", "--stdin"], { stdin: epochText });
  await git(repository.root, ["update-ref", EPOCH_REF, text(blob.stdout).trim()]);
}

/** Returns which of the branches, as full ref names, exist. */
export async function existingRefs(
  repository: Repository,
  refs: readonly string[],
): Promise<Set<string>> {
  if (refs.length === 0) return new Set();
  const result = await git(repository.root, ["for-each-ref", "--format=%(refname)", "refs/heads/"]);
  const all = new Set(text(result.stdout).split("\n"));
  return new Set(refs.filter((ref) => all.has(ref)));
}

/** Returns the names of the refs at and below some names. */
export async function refsBelow(
  repository: Repository,
  names: readonly string[],
): Promise<string[]> {
  const result = await git(repository.root, ["for-each-ref", "--format=%(refname)", ...names]);
  return text(result.stdout).split("\n").filter((ref) => ref !== "");
}

/** Removes refs that this tool made for a moment; one that is gone is fine. */
export async function removeRefs(repository: Repository, refs: readonly string[]): Promise<void> {
  if (refs.length === 0) return;
  await git(repository.root, ["update-ref", "--stdin"], {
    stdin: refs.map((ref) => `delete ${ref}\n`).join(""),
  });
}

/**
 * Returns the full id of the commit that an expression such as `HEAD~2` or `4c021f4` names, or
 * undefined when it names none. What looks like an option is no revision.
 */
export async function resolveCommit(
  repository: Repository,
  expression: string,
): Promise<string | undefined> {
  if (expression.startsWith("-")) return undefined;
  const result = await git(repository.root, [
    "rev-parse",
    "--verify",
    "--quiet",
    "--end-of-options",
    `${expression}^{commit}`,
  ], { tolerate: [1, 128] });
  if (result.code === 0) return text(result.stdout).trim();
  if (/ambiguous/.test(result.stderr)) {
    throw new ToolError("refused", `${JSON.stringify(expression)} names more than one commit`, {
      hint: "Write more digits of the commit",
    });
  }
  return undefined;
}

/**
 * Returns the commits that an expression such as `HEAD~2` or `v1..main` names, those that are to be
 * left out with `^` in front; undefined when it names none.
 */
export async function resolveRevisions(
  repository: Repository,
  expression: string,
): Promise<string[] | undefined> {
  if (!/\.\.|^\^|\^[@!-]/.test(expression)) {
    const commit = await resolveCommit(repository, expression);
    return commit === undefined ? undefined : [commit];
  }
  const result = await git(repository.root, ["rev-parse", "--revs-only", expression, "--"], {
    tolerate: [1, 128],
  });
  const revisions = text(result.stdout).split("\n").filter((line) => line !== "");
  return result.code === 0 && revisions.length > 0 ? revisions : undefined;
}
