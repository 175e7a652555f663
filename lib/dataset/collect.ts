import { ToolError } from "../errors.ts";
import { isAbsence, isDenial, isNameTooLong, isRepository, PERMISSION_DENIED } from "../files.ts";
import { joinPath } from "../paths.ts";
import { readSubdatasetPaths } from "../git/subdatasets.ts";
import { isUnfinishedCopy } from "./copy.ts";

/** Files of one job in one repository: the dataset's own, or a subdataset's. */
export type FilesByRepository = Map<string, string[]>;

/** What of a job's declared outputs is in the work tree; paths are relative to the root. */
export interface CollectedOutputs {
  /**
   * Regular files and symbolic links, by the repository that holds them (`.` or a subdataset's
   * path), each relative to that repository.
   */
  readonly files: FilesByRepository;
  /** Declared outputs that are not there. */
  readonly missing: string[];
  /** What git cannot hold, with the reason: sockets, pipes, devices, names that are not UTF-8. */
  readonly impossible: { readonly path: string; readonly reason: string }[];
  /** What may not be looked at, with the reason. */
  readonly failed: { readonly path: string; readonly reason: string }[];
}

/** A place in the work tree: a repository, and a path in it. */
interface Place {
  readonly repository: string;
  readonly path: string;
}

/**
 * Walks declared outputs, files or directories, relative to the root, subdatasets included. Links
 * are not followed, so nothing outside the dataset is reached; paths for which `skip` says so are
 * left out, with all that is below them.
 */
export async function collectOutputs(
  root: string,
  outputs: readonly string[],
  skip: (path: string) => boolean = () => false,
): Promise<CollectedOutputs> {
  return await new Collector(root, skip).collect(outputs);
}

/** Throws a {@link ToolError} where something may not be looked at that a job is to use. */
export function requireReadable({ failed: [first] }: CollectedOutputs): void {
  if (first === undefined) return;
  throw new ToolError("refused", `${JSON.stringify(first.path)} cannot be read: ${first.reason}`, {
    hint: "Check the permissions of what the job is to use",
  });
}

class Collector {
  readonly #root: string;
  readonly #skip: (path: string) => boolean;
  readonly #collected: CollectedOutputs = {
    files: new Map(),
    missing: [],
    impossible: [],
    failed: [],
  };
  readonly #subdatasets = new Map<string, Set<string>>();

  constructor(root: string, skip: (path: string) => boolean) {
    this.#root = root;
    this.#skip = skip;
  }

  async collect(outputs: readonly string[]): Promise<CollectedOutputs> {
    for (const output of outputs) {
      try {
        const place = await this.#locate(output);
        if (place === undefined) continue;
        await this.#visit(place, Deno.lstatSync(`${this.#root}/${output}`));
      } catch (error) {
        if (isDenial(error)) this.#fail(output);
        else if (isAbsence(error) || isNameTooLong(error)) this.#collected.missing.push(output);
        else throw error;
      }
    }
    return this.#collected;
  }

  /** Finds the repository that holds a path; undefined when it was dealt with. */
  async #locate(output: string): Promise<Place | undefined> {
    if (output === ".") return { repository: ".", path: "." };
    let repository = ".";
    let inside = ".";
    const parts = output.split("/");
    for (const [index, part] of parts.slice(0, -1).entries()) {
      inside = joinPath(inside, part);
      const above = parts.slice(0, index + 1).join("/");
      const { isSymlink } = Deno.lstatSync(`${this.#root}/${above}`);
      // A job that put a link where a directory was: what is behind it is not the dataset's.
      if (isSymlink) throw new Deno.errors.NotFound(above);
      if (!this.#isRepository(above)) continue;
      if (!await this.#enters(repository, inside, above)) return undefined;
      repository = above;
      inside = ".";
    }
    return { repository, path: joinPath(inside, parts.at(-1) ?? "") };
  }

  async #visit(
    { repository, path }: Place,
    kind: Pick<Deno.DirEntry, "isFile" | "isDirectory" | "isSymlink">,
  ): Promise<void> {
    const whole = joinPath(repository, path);
    if (this.#skip(whole) || isUnfinishedCopy(whole)) return;
    if (whole.includes("\uFFFD")) {
      this.#collected.impossible.push({ path: whole, reason: "its name is not valid UTF-8" });
    } else if (kind.isFile || kind.isSymlink) {
      const files = this.#collected.files.get(repository);
      if (files === undefined) this.#collected.files.set(repository, [path]);
      else files.push(path);
    } else if (!kind.isDirectory) {
      this.#collected.impossible.push({
        path: whole,
        reason: "it is neither a file, a link nor a directory",
      });
    } else if (path !== "." && this.#isRepository(whole)) {
      if (await this.#enters(repository, path, whole)) {
        await this.#visitDirectory({ repository: whole, path: "." }, whole);
      }
    } else {
      await this.#visitDirectory({ repository, path }, whole);
    }
  }

  async #visitDirectory({ repository, path }: Place, whole: string): Promise<void> {
    const directory = whole === "." ? this.#root : `${this.#root}/${whole}`;
    let entries: Deno.DirEntry[];
    try {
      entries = [...Deno.readDirSync(directory)];
    } catch (error) {
      if (!isDenial(error)) throw error;
      return this.#fail(whole);
    }
    for (const entry of entries) {
      if (path === "." && entry.name === ".git") continue;
      await this.#visit({ repository, path: joinPath(path, entry.name) }, entry);
    }
  }

  #fail(path: string): void {
    this.#collected.failed.push({ path, reason: PERMISSION_DENIED });
  }

  #isRepository(path: string): boolean {
    return isRepository(`${this.#root}/${path}`);
  }

  /** Whether a repository below another one is its subdataset; notes it down when it is not. */
  async #enters(repository: string, path: string, whole: string): Promise<boolean> {
    let known = this.#subdatasets.get(repository);
    if (known === undefined) {
      known = await readSubdatasetPaths(
        repository === "." ? this.#root : `${this.#root}/${repository}`,
      );
      this.#subdatasets.set(repository, known);
    }
    if (known.has(path)) {
      if (!this.#collected.files.has(whole)) this.#collected.files.set(whole, []);
      return true;
    }
    this.#collected.impossible.push({
      path: whole,
      reason: "it is a repository of its own, and no subdataset",
    });
    return false;
  }
}
