import { ToolError } from "../errors.ts";
import { git } from "./git.ts";
import type { Repository } from "./repository.ts";
import type { StagedChange } from "./changes.ts";

/** Longest wait for an index that another git command holds, in milliseconds. */
const PATIENCE_MS = 60_000;

/**
 * A copy of the index that takes what a finish stages, while the repository's own index stays as it
 * is. Once the commits are made the draft becomes git's `index.lock`, as `git commit` does it: the
 * branch moves while no other git command can write the index, then the draft takes its place. So
 * nobody else's commit ever holds what a job has written, and a command that fails leaves the index
 * untouched. Another git command is shut out for the few milliseconds of the ref transaction.
 */
export class IndexDraft {
  readonly #root: string;
  readonly #path: string;
  readonly #index: string;
  #copied: string;

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
   * Takes the lock of the index for the draft, waiting for other git commands. Where the index has
   * changed since it was copied, the draft is made anew from it with these changes. Throws a
   * {@link ToolError} when the lock is not to be had for a minute.
   */
  async lock(changes: readonly StagedChange[]): Promise<void> {
    const started = performance.now();
    for (let pause = 20;; pause = Math.min(pause * 2, 1000)) {
      if (this.#copied !== fingerprint(this.#index)) await this.#renew(changes);
      if (takeLock(this.#path, lockOf(this.#index))) {
        if (this.#copied === fingerprint(this.#index)) return;
        this.unlock();
        continue;
      }
      if (performance.now() - started > PATIENCE_MS) {
        throw new ToolError("external", "The index could not be written", {
          hint: "Another git command holds it; if none is at work, remove the file",
          details: lockOf(this.#index),
        });
      }
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
    }
  }

  /** Gives the lock of the index back; the index is what it was. */
  unlock(): void {
    Deno.removeSync(lockOf(this.#index));
  }

  /** Puts the draft in the place of the index, and with it gives back the lock. */
  put(): void {
    Deno.renameSync(lockOf(this.#index), this.#index);
    this.discard();
  }

  /** Removes the draft. */
  discard(): void {
    for (const path of [this.#path, `${this.#path}.lock`]) removeQuietly(path);
  }

  async #renew(changes: readonly StagedChange[]): Promise<void> {
    this.#copied = this.#copy();
    if (changes.length === 0) return;
    await git(this.#root, ["update-index", "--add", "--replace", "-z", "--index-info"], {
      stdin: changes.map(({ mode, object, path }) =>
        `${mode ?? "0"} ${mode === undefined ? "0".repeat(object.length) : object}\t${path}\0`
      ).join(""),
      env: this.environment,
    });
  }

  #copy(): string {
    for (;;) {
      const before = fingerprint(this.#index);
      removeQuietly(this.#path);
      // A repository whose index was never written has none.
      if (before !== "") Deno.copyFileSync(this.#index, this.#path);
      if (fingerprint(this.#index) === before) return before;
    }
  }
}

/**
 * Deals with the lock that a draft has left whose command was killed between taking it and putting
 * the draft in place: puts it in place where the branch has moved, gives the lock back otherwise.
 * Called under the repository lock, with proof that the command is dead.
 */
export function settleDraft({ gitDirectory }: Repository, path: string, moved: boolean): void {
  const index = `${gitDirectory}/index`;
  const lock = lockOf(index);
  const [draft, held] = [inode(path), inode(lock)];
  if (draft !== undefined && draft === held) {
    if (moved) Deno.renameSync(lock, index);
    else Deno.removeSync(lock);
  }
  for (const file of [path, `${path}.lock`]) removeQuietly(file);
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
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (error instanceof Deno.errors.NotFound) throw error;
    return takeLockByCopy(draft, lock);
  }
}

/** For file systems without hard links. */
function takeLockByCopy(draft: string, lock: string): boolean {
  try {
    Deno.openSync(lock, { write: true, createNew: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  Deno.copyFileSync(draft, lock);
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
