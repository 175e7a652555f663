import { ToolError } from "../errors.ts";
import { parentPath } from "../paths.ts";
import { run } from "../process/run.ts";

/** What became of a file that was to be copied. */
export type CopyOutcome = "copied" | "unchanged" | "newer file kept";

/** How a file is copied. */
export interface CopyOptions {
  /** Compares the copy with the original, byte for byte, and not by its size alone. */
  readonly verify: boolean;
  /** Keeps a file at the target that was changed after the original, and differs. */
  readonly keepNewer: boolean;
  /**
   * Whether no other process copies to that target, so that what one which was killed has left there
   * of its copy is replaced.
   */
  readonly isOnly: boolean;
}

/**
 * Copies one file or symbolic link so that the target is the old or the new file and nothing in
 * between. Mode and time are kept. Throws a {@link ToolError} when the copy is not like the
 * original.
 */
export async function copyFile(
  from: string,
  to: string,
  { verify, keepNewer, isOnly }: CopyOptions,
): Promise<CopyOutcome> {
  const original = Deno.lstatSync(from);
  const present = statOrNothing(to);
  if (present !== undefined && present.isFile && original.isFile) {
    const since = (present.mtime?.getTime() ?? 0) - (original.mtime?.getTime() ?? 0);
    const isNewer = keepNewer && since > 0;
    const isAlike = present.size === original.size && since === 0;
    // Tar and reproducible builds give the same time to whatever they write, but the file has changed
    // since it was copied then.
    const isUntouched = isAlike && changedAt(original) < changedAt(present);
    if (isUntouched || (isNewer || isAlike) && await isSame(from, to)) return "unchanged";
    if (isNewer) return "newer file kept";
  }
  await replace(to, isOnly ? await markOf(to) : newMark(), async (temporary) => {
    if (original.isSymlink) {
      Deno.symlinkSync(Deno.readLinkSync(from), temporary);
      return;
    }
    await Deno.copyFile(from, temporary);
    if (original.mode !== null) Deno.chmodSync(temporary, original.mode & 0o777 | 0o200);
    await requireSame(from, temporary, original.size, verify);
    if (original.mtime !== null) Deno.utimeSync(temporary, original.mtime, original.mtime);
  });
  return "copied";
}

/** Puts a symbolic link there, in the same way. */
export async function placeLink(target: string, to: string): Promise<void> {
  await replace(to, newMark(), (temporary) => Deno.symlinkSync(target, temporary));
}

/** Whether a path is that of a copy that is not whole yet, or never will be. */
export function isUnfinishedCopy(path: string): boolean {
  return /(?:^|\/)\.datalad-slurm-[0-9a-f]{16}\.copying$/.test(path);
}

/** Makes a file beside its place, and moves it there when it is whole. */
async function replace(
  to: string,
  mark: string,
  make: (temporary: string) => void | Promise<void>,
): Promise<void> {
  const directory = parentPath(to);
  Deno.mkdirSync(directory, { recursive: true });
  // Not the target's name with more to it: that may be as long as names can be.
  const temporary = `${directory}/.datalad-slurm-${mark}.copying`;
  removeQuietly(temporary);
  try {
    await make(temporary);
    if (statOrNothing(to)?.isDirectory === true) Deno.removeSync(to);
    Deno.renameSync(temporary, to);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

/** Returns the same mark for the same path each time, 16 hexadecimal digits. */
async function markOf(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path));
  return new Uint8Array(hash).toHex().slice(0, 16);
}

/** Returns a mark that no other process has. */
function newMark(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 16);
}

async function requireSame(
  from: string,
  to: string,
  size: number,
  verify: boolean,
): Promise<void> {
  if (Deno.statSync(to).size === size && (!verify || await isSame(from, to))) return;
  throw new ToolError("external", `The copy of ${JSON.stringify(from)} is not like the original`, {
    hint: "Perhaps the job still writes to it, or the disk is full; run the command again",
  });
}

/** Compares in a program of its own, with flat memory whatever the size. */
async function isSame(one: string, other: string): Promise<boolean> {
  return (await run(["cmp", "-s", "--", one, other])).code === 0;
}

function changedAt({ ctime }: Deno.FileInfo): number {
  return ctime?.getTime() ?? NaN;
}

function statOrNothing(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was never made.
  }
}
