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
    // Tar and reproducible builds give the same time to whatever they write.
    const isAlike = present.size === original.size && since === 0;
    if ((isNewer || isAlike) && await isSame(from, to)) return "unchanged";
    if (isNewer) return "newer file kept";
  }
  Deno.mkdirSync(parentPath(to), { recursive: true });
  const mark = isOnly ? "datalad-slurm" : crypto.randomUUID().slice(0, 8);
  const temporary = `${to}.${mark}.copying`;
  if (isOnly) removeQuietly(temporary);
  try {
    if (original.isSymlink) {
      Deno.symlinkSync(Deno.readLinkSync(from), temporary);
    } else {
      await Deno.copyFile(from, temporary);
      if (original.mode !== null) Deno.chmodSync(temporary, original.mode & 0o777 | 0o200);
      await requireSame(from, temporary, original.size, verify);
      if (original.mtime !== null) Deno.utimeSync(temporary, original.mtime, original.mtime);
    }
    if (present?.isDirectory === true) Deno.removeSync(to);
    Deno.renameSync(temporary, to);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
  return "copied";
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
