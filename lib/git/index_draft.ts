import { isThere } from "../files.ts";
import { pause } from "../process/interruption.ts";
import type { Repository } from "./repository.ts";
import { putIntoIndex, type StagedChange } from "./changes.ts";

/** Longest wait for an index that another git command holds for a moment, in milliseconds. */
const PATIENCE_MS = 1_000;

/**
 * A copy of the index that takes what a finish stages, while the repository's own index stays as it
 * is. Once the commits are made the draft becomes git's `index.lock`, then the index, then the branch
 * moves, then the lock goes. So nobody else's commit ever holds what a job has written, and a command
 * that fails leaves the index as it was. Another git command is shut out for the few milliseconds of
 * the ref transaction.
 *
 * `git commit` moves the branch first and the index afterwards. But it also reads HEAD and the index
 * before it takes the lock (2.39): one that read between the two steps would have our commit as its
 * parent and an index without our files, and would delete them. In this order it either has both, or
 * finds HEAD moved and fails.
 */
export class IndexDraft {
  readonly #root: string;
  readonly #path: string;
  readonly #index: string;
  #copied: string;
  /** The lock that we have taken, by its inode. */
  #held: number | undefined;

  private constructor(root: string, index: string, path: string) {
    this.#root = root;
    this.#index = index;
    this.#path = path;
    this.#copied = this.#copy();
  }

  /** Returns a draft at `path`, which is on the file system of the repository. */
  static of({ root, gitDirectory }: Repository, path: string): IndexDraft {
    return new IndexDraft(root, `${gitDirectory}/index`, path);
  }

  /** Has git and git-annex read and write the draft in the place of the index. */
  get environment(): { readonly GIT_INDEX_FILE: string } {
    return { GIT_INDEX_FILE: this.#path };
  }

  /**
   * Takes the lock of the index for the draft, waiting a moment for other git commands; returns
   * whether it was to be had. Where the index has changed since it was copied, or `anew` says so,
   * the draft is made anew from it with these changes.
   */
  async lock(changes: readonly StagedChange[], anew = false): Promise<boolean> {
    const started = performance.now();
    let isStale = anew;
    for (let wait = 20;; wait *= 2) {
      if (isStale || this.#copied !== fingerprint(this.#index)) await this.#renew(changes);
      isStale = false;
      if (takeLock(this.#path, lockOf(this.#index))) {
        this.#held = inode(lockOf(this.#index));
        if (this.#copied === fingerprint(this.#index)) return true;
        this.unlock();
        continue;
      }
      if (performance.now() - started > PATIENCE_MS) return false;
      await pause(wait);
    }
  }

  /**
   * Puts the draft in the place of the index, whose lock is held, and keeps aside what was there;
   * returns whether the lock was still ours.
   */
  put(): boolean {
    if (!this.#holdsLock()) return false;
    keepAside(this.#index, asideOf(this.#path));
    Deno.renameSync(this.#path, this.#index);
    return true;
  }

  /** Gives the lock of the index back, and leaves in place what was put there. */
  keep(): void {
    if (this.#holdsLock()) Deno.removeSync(lockOf(this.#index));
    removeQuietly(asideOf(this.#path));
  }

  /** Gives the lock of the index back; the index is what it was. */
  unlock(): void {
    if (this.#holdsLock()) takeBack(this.#index, this.#path);
    // What others have written since the lock was taken from us is not to be undone later.
    else removeQuietly(asideOf(this.#path));
  }

  /** Where we were said to be dead it may have been settled, or a user may have removed it. */
  #holdsLock(): boolean {
    return this.#held !== undefined && inode(lockOf(this.#index)) === this.#held;
  }

  /** Removes the draft. */
  discard(): void {
    removeDraft(this.#path);
  }

  async #renew(changes: readonly StagedChange[]): Promise<void> {
    this.#copied = this.#copy();
    if (changes.length === 0) return;
    await putIntoIndex(this.#root, changes, { env: this.environment });
  }

  #copy(): string {
    for (;;) {
      const before = fingerprint(this.#index);
      removeQuietly(this.#path);
      // A repository whose index was never written has none.
      if (before !== "") copyIndex(this.#index, this.#path);
      if (fingerprint(this.#index) === before) return before;
    }
  }
}

/** Returns the lock of the index where somebody holds it. */
export function indexLock({ gitDirectory }: Repository): string | undefined {
  const lock = lockOf(`${gitDirectory}/index`);
  return isThere(lock) ? lock : undefined;
}

/**
 * Deals with the lock that a draft has left whose command was killed while it held it: where the
 * branch has moved the draft stays in the place of the index, otherwise what was there before is put
 * back. Called under the repository lock, with proof that the command is dead.
 */
export function settleDraft({ gitDirectory }: Repository, path: string, moved: boolean): void {
  const index = `${gitDirectory}/index`;
  const lock = lockOf(index);
  // Another git's lock is no second name of anything; another finish's has no index aside here.
  const isOurs = isLockFrom(path, path, lock) ||
    isThere(asideOf(path)) && isLockFrom(path, index, lock);
  if (isOurs && moved) Deno.removeSync(lock);
  else if (isOurs) takeBack(index, path);
  removeDraft(path);
}

/** Whether a lock was made of a file that was, or is, a draft. */
function isLockFrom(draft: string, file: string, lock: string): boolean {
  const held = inode(lock);
  if (held === undefined) return false;
  if (held === inode(file)) return true;
  // Of another git's lock the bytes could be the same as of a draft that nothing was staged in yet.
  return isThere(copyMarkOf(draft)) && isSame(file, lock);
}

/** Puts back what a draft has taken the place of, if it has, and gives the lock back. */
function takeBack(index: string, draft: string): void {
  const [lock, aside] = [lockOf(index), asideOf(draft)];
  if (isThere(aside)) {
    // The lock stays known as the draft's, should we be killed in between.
    if (!isThere(draft)) linkOrCopy(lock, draft);
    putBack(aside, index);
  }
  Deno.removeSync(lock);
}

/** Returns where the index is kept that a draft has taken the place of. */
function asideOf(draft: string): string {
  return `${draft}.before`;
}

/** Returns the file that says that the lock is a copy of the draft, for want of hard links. */
function copyMarkOf(draft: string): string {
  return `${draft}.copied`;
}

/** Keeps the index under a second name; an empty file stands for one that was never written. */
function keepAside(index: string, aside: string): void {
  removeQuietly(aside);
  if (isThere(index)) linkOrCopy(index, aside);
  else Deno.writeFileSync(aside, new Uint8Array());
}

function putBack(aside: string, index: string): void {
  if (Deno.statSync(aside).size > 0) {
    Deno.renameSync(aside, index);
  } else {
    removeQuietly(index);
  }
  // Where both were names of one file it is still there.
  removeQuietly(aside);
}

function removeDraft(path: string): void {
  for (const file of [path, `${path}.lock`, asideOf(path), copyMarkOf(path)]) removeQuietly(file);
}

function linkOrCopy(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch {
    // There are file systems without hard links, or with those in one directory only.
    copyIndex(from, to);
  }
}

/**
 * Copies an index with the time of its last write. Git takes a file for unchanged whose size and
 * times are as the index has them, unless the index was written in the second of the file's last
 * change: then it compares the content. In a copy that is younger it would not look, and take what a
 * job has written in that second for what was there before.
 */
function copyIndex(from: string, to: string): void {
  // The time first: an index that was replaced meanwhile is copied with one that is too old.
  const { mtime } = Deno.statSync(from);
  Deno.copyFileSync(from, to);
  // A git that compares parts of seconds looks once more often.
  const seconds = Math.floor((mtime?.getTime() ?? 0) / 1000);
  Deno.utimeSync(to, seconds, seconds);
}

/** Whether two files hold the same bytes; false where one is not there. */
function isSame(one: string, other: string): boolean {
  try {
    const [bytes, others] = [Deno.readFileSync(one), Deno.readFileSync(other)];
    return bytes.length === others.length && bytes.every((byte, at) => byte === others[at]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function lockOf(index: string): string {
  return `${index}.lock`;
}

/** Makes the draft git's lock by a second name for it, which fails where there is a lock. */
function takeLock(draft: string, lock: string): boolean {
  try {
    Deno.linkSync(draft, lock);
    return true;
  } catch (error) {
    // A network file system may have repeated the request, and ours be there since the first one.
    if (error instanceof Deno.errors.AlreadyExists) return inode(draft) === inode(lock);
    if (error instanceof Deno.errors.NotFound) throw error;
    return takeLockByCopy(draft, lock);
  }
}

/** For file systems without hard links between directories. */
function takeLockByCopy(draft: string, lock: string): boolean {
  Deno.writeFileSync(copyMarkOf(draft), new Uint8Array());
  try {
    Deno.openSync(lock, { write: true, createNew: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  try {
    copyIndex(draft, lock);
  } catch (error) {
    removeQuietly(lock);
    throw error;
  }
  return true;
}

/** Returns what tells one version of a file from another, or the empty text where there is none. */
function fingerprint(path: string): string {
  try {
    const { ino, size, mtime } = Deno.statSync(path);
    return `${ino} ${size} ${mtime?.getTime()}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function inode(path: string): number | undefined {
  try {
    return Deno.statSync(path).ino ?? undefined;
  } catch {
    return undefined;
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
