import type { Dataset } from "../dataset/dataset.ts";
import { openDataset } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { isRepository } from "../files.ts";
import { joinPath } from "../paths.ts";
import { type Conflict, release, reserve } from "../store/reservations.ts";
import { locked, type LockPatience } from "./locked.ts";

/**
 * Returns the token by which a job of the dataset above holds an output in a subdataset: whoever
 * looks at the subdataset alone finds no such job in its history.
 */
export function tokenFromAbove(token: string): string {
  return `^${token}`;
}

/**
 * Reserves paths in the subdatasets that hold them, for whoever schedules from inside one. Returns
 * the first conflict, and then nothing is reserved.
 */
export async function reserveInSubdatasets(
  dataset: Dataset,
  token: string,
  paths: readonly string[],
  patience: LockPatience,
): Promise<Conflict | undefined> {
  const places = subdatasetPlaces(dataset.root, paths);
  for (const { repository, path } of places) {
    const below = await openDataset(`${dataset.root}/${repository}`);
    const conflict = await locked(
      below,
      patience,
      () => Promise.resolve(reserve(below.store.reservations, tokenFromAbove(token), [path])),
    );
    if (conflict === undefined) continue;
    await releaseInSubdatasets(dataset, token, paths, patience);
    return {
      token: conflict.token.replace(/^\^/, ""),
      wanted: joinPath(repository, conflict.wanted),
      held: joinPath(repository, conflict.held),
    };
  }
  return undefined;
}

/** Releases what {@link reserveInSubdatasets} has reserved. */
export async function releaseInSubdatasets(
  dataset: Dataset,
  token: string,
  paths: readonly string[],
  patience: LockPatience,
): Promise<void> {
  for (const { repository, path } of subdatasetPlaces(dataset.root, paths)) {
    const below = await openIfDataset(`${dataset.root}/${repository}`);
    if (below === undefined) continue;
    await locked(
      below,
      patience,
      () => Promise.resolve(release(below.store.reservations, tokenFromAbove(token), [path])),
    );
  }
}

/** A job may have made a repository, which has no commit yet and holds no reservation. */
async function openIfDataset(directory: string): Promise<Dataset | undefined> {
  try {
    return await openDataset(directory);
  } catch (error) {
    if (error instanceof ToolError && error.kind === "refused") return undefined;
    throw error;
  }
}

/** Returns each path as seen from every installed subdataset that holds it. */
function subdatasetPlaces(
  root: string,
  paths: readonly string[],
): { repository: string; path: string }[] {
  return paths.filter((path) => path !== ".").flatMap((path) => {
    const parts = path.split("/");
    return parts.flatMap((_, index) => {
      const repository = parts.slice(0, index + 1).join("/");
      return isRepository(`${root}/${repository}`)
        ? [{ repository, path: parts.slice(index + 1).join("/") || "." }]
        : [];
    });
  });
}
