import { collectOutputs, requireReadable } from "../dataset/collect.ts";
import type { Dataset } from "../dataset/dataset.ts";
import { expandPath, Listing } from "../dataset/globs.ts";
import { findLocked, lockAgain, unlock } from "../git/annexed.ts";
import { parentPath } from "../paths.ts";

/**
 * Makes what is there of a job's outputs writable, since a job cannot write to a locked annexed
 * file. Where the content of one is not here the dangling link is removed: the commit keeps it,
 * and `finish` puts it back where the job has written nothing in its place. What was done is told
 * to `done`, which {@link takeBackOutputs} undoes.
 */
export async function prepareOutputs(
  dataset: Dataset,
  outputs: readonly string[],
  done: PreparedOutput[],
): Promise<void> {
  const { root } = dataset;
  const listing = new Listing(root);
  const collected = await collectOutputs(
    root,
    outputs.flatMap((output) => expandPath(root, output, listing)),
  );
  requireReadable(collected);
  const { files } = collected;
  for (const [repository, paths] of files) {
    const base = repository === "." ? root : `${root}/${repository}`;
    const locked = findLocked(base, [...new Set(paths)]);
    if (locked.present.length > 0) {
      done.push({ base, unlocked: locked.present });
      await unlock(base, locked.present);
    }
    for (const path of locked.absent) {
      const target = Deno.readLinkSync(`${base}/${path}`);
      Deno.removeSync(`${base}/${path}`);
      done.push({ base, removed: { path, target } });
    }
  }
}

/** Something that was done to outputs of the repository at `base`. */
export type PreparedOutput =
  & { readonly base: string }
  & (
    | { readonly unlocked: readonly string[] }
    | { readonly removed: { readonly path: string; readonly target: string } }
  );

/** Makes outputs again what they were before a submission that failed. */
export async function takeBackOutputs(done: readonly PreparedOutput[]): Promise<void> {
  for (const step of done) {
    if ("unlocked" in step) await lockAgain(step.base, step.unlocked);
    else putLink(step.base, step.removed.path, step.removed.target);
  }
}

/** Makes a symbolic link, with the directories above it; returns whether there is room for it. */
export function putLink(root: string, path: string, target: string): boolean {
  try {
    Deno.mkdirSync(`${root}/${parentPath(path)}`, { recursive: true });
    Deno.symlinkSync(target, `${root}/${path}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}
