import { collectOutputs, requireReadable } from "../dataset/collect.ts";
import { copyFile, placeLink } from "../dataset/copy.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { expandPath, Listing } from "../dataset/globs.ts";
import { directoryBehind, linkedDirectory } from "../dataset/paths.ts";
import { asToolError, ToolError } from "../errors.ts";
import { isAbsence, isFileSystemError, isThere, PERMISSION_DENIED } from "../files.ts";
import { git } from "../git/git.ts";
import { filesWithoutEntry } from "../git/untracked.ts";
import { absolutePath, isWithin, joinPath, parentPath, pathAndAbove, pathBelow } from "../paths.ts";

/**
 * Jobs that run in a directory outside the dataset (`--alt-dir`), such as one on a parallel file
 * system. It mirrors the dataset: inputs are copied there before the submission, results are copied
 * back by `finish`.
 */

/** Returns the absolute path of such a directory; throws when it is inside the dataset. */
export function resolveAltDir(root: string, path: string): string {
  const directory = absolutePath(path, Deno.cwd());
  if (pathBelow(root, directory) !== undefined || pathBelow(directory, root) !== undefined) {
    throw new ToolError(
      "refused",
      `The alternative directory ${JSON.stringify(path)} ` +
        "and the dataset lie inside one another",
      {
        hint: "Name a directory outside the dataset",
      },
    );
  }
  return directory;
}

/**
 * Copies a job's inputs, as they are now, to where it runs; content is copied, not links to it. A link
 * to a directory stays one, and what it leads to in the dataset is copied as well. Throws a
 * {@link ToolError} where something cannot be copied.
 */
export async function copyInputs(
  { root }: Dataset,
  altDir: string,
  inputs: readonly string[],
): Promise<void> {
  const copied = new Set<string>();
  let wanted = inputs.flatMap((input) => expandPath(root, input));
  while (wanted.length > 0) {
    const collected = await collectOutputs(root, wanted);
    requireReadable(collected);
    wanted = [];
    for (const [repository, paths] of collected.files) {
      for (const path of paths) {
        const whole = joinPath(repository, path);
        if (copied.has(whole)) continue;
        copied.add(whole);
        try {
          wanted.push(...await copyInput(root, altDir, whole));
        } catch (error) {
          if (!isFileSystemError(error)) throw error;
          const what = `${JSON.stringify(whole)} cannot be copied to ${JSON.stringify(altDir)}`;
          throw asToolError(error) ?? new ToolError("refused", `${what}: ${error.message}`, {
            hint: "Nothing was submitted; move away what is in the way there",
          });
        }
      }
    }
  }
}

/** Copies one file or link, and returns what else is to be copied for it. */
async function copyInput(root: string, altDir: string, path: string): Promise<string[]> {
  const from = `${root}/${path}`;
  const to = `${altDir}/${path}`;
  const content = contentOf(from);
  if (!Deno.lstatSync(content).isDirectory) {
    await copyFile(content, to, {
      verify: false,
      keepNewer: false,
      // Several jobs may want the same inputs at the same time.
      isOnly: false,
    });
    return [];
  }
  const target = await placeDirectoryLink(root, altDir, path);
  // Of one that leads up to where it lies itself there is no end.
  return target === undefined || isWithin(path, target) ? [] : [target];
}

/** Lets a job write through links to directories that are outputs as it would in the dataset. */
export async function placeOutputLinks(
  { root }: Dataset,
  altDir: string,
  outputs: readonly string[],
): Promise<void> {
  for (const path of outputs) {
    if (linkedDirectory(`${root}/${path}`) === undefined || isThere(`${altDir}/${path}`)) continue;
    const target = await placeDirectoryLink(root, altDir, path);
    if (target !== undefined) Deno.mkdirSync(`${altDir}/${target}`, { recursive: true });
  }
}

/** Makes a link to a directory there too, and returns where that is in the dataset, if it is. */
async function placeDirectoryLink(
  root: string,
  altDir: string,
  path: string,
): Promise<string | undefined> {
  const from = `${root}/${path}`;
  const top = Deno.realPathSync(root);
  const content = Deno.realPathSync(from);
  const target = pathBelow(top, content);
  const link = Deno.readLinkSync(from);
  const isDirect = !link.startsWith("/") &&
    absolutePath(link, `${top}/${parentPath(path)}`) === content;
  const fromTop = `${"../".repeat(path.split("/").length - 1)}${target}`;
  await placeLink(target === undefined ? content : isDirect ? link : fromTop, `${altDir}/${path}`);
  return target;
}

/** Whether both have a link that leads to the same place, each in its own tree. */
function haveSameLink(root: string, altDir: string, path: string): boolean {
  const place = directoryBehind(root, path);
  return place !== undefined && place === directoryBehind(altDir, path);
}

/** An annexed file is a link to its content. */
function contentOf(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}

/** How {@link copyResults} copies. */
export interface CopyBackOptions {
  /** Compares the copies with the originals, byte for byte. */
  readonly verify: boolean;
  /** Tells what is another job's, which may run in the same directory. */
  readonly isForeign: (path: string) => boolean;
}

/** What was not copied, by its path relative to the root. */
export interface NotCopied {
  /** Files that have a newer one in their place. */
  readonly kept: string[];
  /** Files that could not be copied, and why. Where there is one, others were not tried. */
  readonly failed: { readonly path: string; readonly reason: string }[];
}

/**
 * Copies a job's results from where it ran into the dataset. Throws `PermissionDenied` where something
 * may not be read there.
 */
export async function copyResults(
  { root }: Dataset,
  altDir: string,
  outputs: readonly string[],
  { verify, isForeign }: CopyBackOptions,
): Promise<NotCopied> {
  const listing = new Listing(altDir);
  const expanded = outputs.flatMap((output) => expandPath(altDir, output, listing));
  const { files, failed } = await collectOutputs(altDir, expanded, isForeign);
  const [closed] = [...listing.denied, ...failed.map(({ path }) => path)];
  if (closed !== undefined) {
    throw new Deno.errors.PermissionDenied(`${PERMISSION_DENIED}: ${JSON.stringify(closed)}`);
  }
  const declared = new Set(expanded);
  const result: NotCopied = { kept: [], failed: [] };
  for (const path of files.get(".") ?? []) {
    try {
      // The text of a link that was made there may be another one.
      if (haveSameLink(root, altDir, path)) continue;
      const original = `${altDir}/${path}`;
      const obstacle = findObstacle(root, path, declared);
      if (obstacle !== undefined) await clearAway(root, obstacle, original, isForeign);
      const outcome = await copyFile(original, `${root}/${path}`, {
        verify,
        keepNewer: true,
        // A job is finished by one process at a time, and what other jobs have is left out.
        isOnly: true,
      });
      if (outcome === "newer file kept") result.kept.push(path);
    } catch (error) {
      const isOfFile = error instanceof ToolError && error.kind !== "interrupted";
      if (!isOfFile && !isFileSystemError(error)) throw error;
      result.failed.push({ path, reason: error.message });
      break;
    }
  }
  return result;
}

/**
 * Returns what the dataset has in the way of a result: a directory in its place, or a file, or a link,
 * in that of a directory above it that is declared as well.
 */
function findObstacle(
  root: string,
  path: string,
  declared: ReadonlySet<string>,
): string | undefined {
  const ways = [...pathAndAbove(path)];
  const last = ways.findLastIndex((above) => declared.has(above));
  return ways.slice(0, last + 1).findLast((way) => {
    try {
      return way !== "." && Deno.lstatSync(`${root}/${way}`).isDirectory === (way === path);
    } catch (error) {
      if (isAbsence(error)) return false;
      throw error;
    }
  });
}

/**
 * Removes what is in the way of a result. Throws a {@link ToolError} where anything of it is another
 * job's, newer than the result, or not committed.
 */
async function clearAway(
  root: string,
  obstacle: string,
  original: string,
  isForeign: (path: string) => boolean,
): Promise<void> {
  const { files, missing, impossible, failed } = await collectOutputs(root, [obstacle]);
  const time = Deno.lstatSync(original).mtime?.getTime() ?? 0;
  let isOurs = missing.length + impossible.length + failed.length === 0;
  for (const [repository, paths] of files) {
    const base = `${root}/${repository}`;
    const isNewer = (path: string) =>
      (Deno.lstatSync(`${base}/${path}`).mtime?.getTime() ?? 0) > time;
    isOurs &&= !isWithin(repository, obstacle) &&
      !paths.some((path) => isForeign(joinPath(repository, path)) || isNewer(path)) &&
      await isAsCommitted(
        base,
        repository === "." ? obstacle : obstacle.slice(repository.length + 1),
      );
  }
  if (!isOurs) {
    throw new ToolError(
      "refused",
      `${JSON.stringify(obstacle)} of the dataset is in the way, ` +
        "and is newer or has something that is not committed",
    );
  }
  Deno.removeSync(`${root}/${obstacle}`, { recursive: true });
}

/** Whether HEAD has all that is there at and below a path, as it is there. */
async function isAsCommitted(root: string, path: string): Promise<boolean> {
  const { code } = await git(root, ["diff", "--quiet", "HEAD", "--", path], { tolerate: [1] });
  return code === 0 && (await filesWithoutEntry(root, [path])).size === 0;
}
