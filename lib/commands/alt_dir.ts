import { collectOutputs, requireReadable } from "../dataset/collect.ts";
import { copyFile } from "../dataset/copy.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { expandPath, Listing } from "../dataset/globs.ts";
import { ToolError } from "../errors.ts";
import { PERMISSION_DENIED } from "../files.ts";
import { absolutePath, joinPath, pathBelow } from "../paths.ts";

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

/** Copies a job's inputs, as they are now, to where it runs; content is copied, not links to it. */
export async function copyInputs(
  { root }: Dataset,
  altDir: string,
  inputs: readonly string[],
): Promise<void> {
  const collected = await collectOutputs(
    root,
    inputs.flatMap((input) => expandPath(root, input)),
  );
  requireReadable(collected);
  const { files } = collected;
  for (const [repository, paths] of files) {
    for (const path of paths) {
      const whole = joinPath(repository, path);
      await copyFile(contentOf(`${root}/${whole}`), `${altDir}/${whole}`, {
        verify: false,
        keepNewer: false,
        // Several jobs may want the same inputs at the same time.
        isOnly: false,
      });
    }
  }
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

/**
 * Copies a job's results from where it ran into the dataset, and returns the files that were not
 * copied because a newer one is in their place. Throws `PermissionDenied` where something may not be
 * read there, or written here.
 */
export async function copyResults(
  { root }: Dataset,
  altDir: string,
  outputs: readonly string[],
  { verify, isForeign }: CopyBackOptions,
): Promise<string[]> {
  const listing = new Listing(altDir);
  const { files, failed } = await collectOutputs(
    altDir,
    outputs.flatMap((output) => expandPath(altDir, output, listing)),
    isForeign,
  );
  const [closed] = [...listing.denied, ...failed.map(({ path }) => path)];
  if (closed !== undefined) {
    throw new Deno.errors.PermissionDenied(`${PERMISSION_DENIED}: ${JSON.stringify(closed)}`);
  }
  const kept: string[] = [];
  for (const path of files.get(".") ?? []) {
    const outcome = await copyFile(`${altDir}/${path}`, `${root}/${path}`, {
      verify,
      keepNewer: true,
      // A job is finished by one process at a time, and what other jobs have is left out.
      isOnly: true,
    });
    if (outcome === "newer file kept") kept.push(path);
  }
  return kept;
}
