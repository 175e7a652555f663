import { joinPath } from "../paths.ts";

/** What of a job's declared outputs is in the work tree. */
export interface CollectedOutputs {
  /** Regular files and symbolic links, relative to the dataset's root. */
  readonly files: string[];
  /** Declared outputs that are not there. */
  readonly missing: string[];
  /** What git cannot hold: sockets, pipes, devices, names that are not UTF-8, with the reason. */
  readonly impossible: { readonly path: string; readonly reason: string }[];
  /** Directories that are repositories of their own. */
  readonly repositories: string[];
}

/**
 * Walks declared outputs, files or directories, relative to the root. Links are not followed, so
 * nothing outside the dataset is reached; paths for which `skip` says so are left out, with all
 * that is below them.
 */
export function collectOutputs(
  root: string,
  outputs: readonly string[],
  skip: (path: string) => boolean = () => false,
): CollectedOutputs {
  const collected: CollectedOutputs = {
    files: [],
    missing: [],
    impossible: [],
    repositories: [],
  };
  for (const output of outputs) {
    if (output.split("/").some((_, index, parts) => isLink(root, parts.slice(0, index)))) {
      // A job that put a link where a directory was: what is behind it is not the dataset's.
      collected.missing.push(output);
      continue;
    }
    try {
      visit(collected, root, output, Deno.lstatSync(`${root}/${output}`), skip);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      collected.missing.push(output);
    }
  }
  return collected;
}

function visit(
  collected: CollectedOutputs,
  root: string,
  path: string,
  kind: Pick<Deno.DirEntry, "isFile" | "isDirectory" | "isSymlink">,
  skip: (path: string) => boolean,
): void {
  if (skip(path)) return;
  if (path.includes("\uFFFD")) {
    collected.impossible.push({ path, reason: "its name is not valid UTF-8" });
  } else if (kind.isFile || kind.isSymlink) {
    collected.files.push(path);
  } else if (kind.isDirectory) {
    visitDirectory(collected, root, path, skip);
  } else {
    collected.impossible.push({ path, reason: "it is neither a file, a link nor a directory" });
  }
}

function visitDirectory(
  collected: CollectedOutputs,
  root: string,
  path: string,
  skip: (path: string) => boolean,
): void {
  const entries = [...Deno.readDirSync(path === "." ? root : `${root}/${path}`)];
  if (path !== "." && entries.some(({ name }) => name === ".git")) {
    collected.repositories.push(path);
    return;
  }
  for (const entry of entries) {
    if (path === "." && entry.name === ".git") continue;
    visit(collected, root, joinPath(path, entry.name), entry, skip);
  }
}

function isLink(root: string, parts: readonly string[]): boolean {
  if (parts.length === 0) return false;
  try {
    return Deno.lstatSync(`${root}/${parts.join("/")}`).isSymlink;
  } catch {
    return false;
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** Finds the owner of a path among declared outputs: the path itself first, then those above. */
export class OutputOwners<Owner> {
  readonly #owners = new Map<string, Owner>();

  /** Declares a path as an owner's; the first owner of a path keeps it. */
  declare(path: string, owner: Owner): void {
    if (!this.#owners.has(path)) this.#owners.set(path, owner);
  }

  /** Returns the owner of the nearest declared path at or above a path. */
  find(path: string): Owner | undefined {
    for (let at = path;;) {
      const owner = this.#owners.get(at);
      if (owner !== undefined) return owner;
      const slash = at.lastIndexOf("/");
      if (slash < 0) return this.#owners.get(".");
      at = at.slice(0, slash);
    }
  }
}
