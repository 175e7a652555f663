import { ToolError } from "../errors.ts";
import { isAbsence, isDenial, isNameTooLong, isRepository } from "../files.ts";
import { absolutePath, isWithin, joinPath, pathBelow } from "../paths.ts";
import { expandPath, hasMagic } from "./globs.ts";

/**
 * Returns a path as records hold it: relative to the dataset's root and normalised. `path` is
 * relative to `pwd`, itself relative to the root, or absolute. Throws a {@link ToolError} when the
 * path is empty, leaves the dataset, crosses a symbolic link that does, lies inside `.git`, or when no
 * file can have it.
 */
export function datasetPath(root: string, pwd: string, path: string, role: string): string {
  const shown = `${role} ${JSON.stringify(path)}`;
  if (path === "") throw new ToolError("refused", `${role} is empty`, { hint: "Name a path" });
  if (/[\0\uFFFD]/.test(path)) {
    throw new ToolError("refused", `${shown} is not valid UTF-8`, {
      hint: "Rename the file: records are UTF-8 text",
    });
  }
  const absolute = absolutePath(path, absolutePath(pwd, root));
  if (isTooLong(absolute)) {
    throw new ToolError("refused", `${shown} is longer than the path of a file can be`, {
      hint: `A name may have ${LONGEST_NAME} bytes, and a path ${LONGEST_PATH}`,
    });
  }
  const relative = locate(root, absolute, shown);
  if (relative === undefined) {
    throw new ToolError("refused", `${shown} is outside the dataset ${JSON.stringify(root)}`, {
      hint: "Name a path inside the dataset",
    });
  }
  if (isInGit(relative)) {
    throw new ToolError("refused", `${shown} is inside .git`, {
      hint: "Name a path in the work tree",
    });
  }
  return relative;
}

/**
 * Returns the path of a declared output as {@link datasetPath} does; of a link to a directory that
 * directory, since git has the link, and not what a job writes behind it, and then the link, which the
 * job may change. Throws a {@link ToolError} where the directory is none of the dataset's.
 */
export function outputPaths(root: string, pwd: string, path: string, role: string): string[] {
  const relative = datasetPath(root, pwd, path, role);
  const target = linkedDirectory(`${root}/${relative}`);
  if (target === undefined) return [relative];
  const inside = pathBelow(root, target);
  if (inside === undefined || isInGit(inside)) {
    const where = inside === undefined ? "outside the dataset" : "inside .git";
    throw new ToolError(
      "refused",
      `${role} ${JSON.stringify(path)} is a link to the directory ${JSON.stringify(target)}, ` +
        `which is ${where}`,
      {
        hint:
          "What a job writes there cannot be committed: put a directory in place of the link; " +
          "jobs can work elsewhere with --alt-dir",
      },
    );
  }
  return [inside, relative];
}

function isInGit(path: string): boolean {
  return path.split("/").includes(".git");
}

/**
 * Returns what a declared input stands for in a work tree, as {@link expandPath} does, and of links to
 * directories of the dataset those too: the job reads what is behind them.
 */
export function expandInput(root: string, input: string): string[] {
  return expandPath(root, input).flatMap((path) => {
    const inside = directoryBehind(root, path);
    return inside === undefined || isInGit(inside) ? [path] : [path, inside];
  });
}

/** Returns the directory of the work tree that a link in it leads to; undefined for anything else. */
export function directoryBehind(root: string, path: string): string | undefined {
  const target = linkedDirectory(`${root}/${path}`);
  return target === undefined ? undefined : pathBelow(Deno.realPathSync(root), target);
}

/** Returns the directory that a link leads to in the end; undefined for anything else. */
export function linkedDirectory(path: string): string | undefined {
  try {
    if (!Deno.lstatSync(path).isSymlink) return undefined;
    const target = Deno.realPathSync(path);
    return Deno.lstatSync(target).isDirectory ? target : undefined;
  } catch (error) {
    if (isAbsence(error) || isDenial(error) || isNameTooLong(error)) return undefined;
    // A link to itself is a link like any other that leads nowhere.
    if (error instanceof Deno.errors.FilesystemLoop) return undefined;
    throw error;
  }
}

/** In bytes: Linux allows no more, whatever the file system. */
const LONGEST_NAME = 255;
const LONGEST_PATH = 4095;

/** Whether no file can have a path, or none that a glob matches. */
function isTooLong(path: string): boolean {
  const bytes = (name: string) => new TextEncoder().encode(name).length;
  return bytes(path) > LONGEST_PATH ||
    path.split("/").some((name) => bytes(name) > LONGEST_NAME && !hasMagic(name));
}

/** Finds a path below the root with the symbolic links of its parents followed. */
function locate(root: string, absolute: string, shown: string): string | undefined {
  const direct = pathBelow(root, absolute);
  if (direct === ".") return ".";
  const name = absolute.slice(absolute.lastIndexOf("/") + 1);
  const parent = pathBelow(root, realDirectory(absolute.slice(0, -name.length - 1) || "/", shown));
  if (parent !== undefined) return joinPath(parent, name);
  // The path itself may be a link to the root, such as a home directory's short cut.
  return direct === undefined ? pathBelow(root, realDirectory(absolute, shown)) : undefined;
}

/** Resolves the part of a path that exists; the rest is appended as it stands. */
export function realDirectory(path: string, shown: string): string {
  for (let existing = path, rest = "";;) {
    try {
      return joinAbsolute(Deno.realPathSync(existing), rest);
    } catch (error) {
      if (error instanceof Deno.errors.FilesystemLoop) {
        throw new ToolError("refused", `${shown} leads through symbolic links without end`, {
          hint: "See where the links point: ls -l",
        });
      }
      // A glob may be longer than the names that it stands for.
      if (existing === "/" || !isAbsence(error) && !isNameTooLong(error)) throw error;
    }
    const slash = existing.lastIndexOf("/");
    rest = joinPath(existing.slice(slash + 1), rest);
    existing = existing.slice(0, slash) || "/";
  }
}

function joinAbsolute(directory: string, rest: string): string {
  if (rest === "") return directory;
  return directory === "/" ? `/${rest}` : `${directory}/${rest}`;
}

/** Returns the paths without those that lie below another one of them, sorted. */
export function outermostPaths(paths: readonly string[]): string[] {
  const kept: string[] = [];
  for (const path of [...new Set(paths)].sort((a, b) => a.length - b.length)) {
    if (!kept.some((outer) => isWithin(path, outer))) kept.push(path);
  }
  return kept.sort();
}

/** Returns a path of the dataset as seen from `pwd`, both relative to the root. */
export function relativePath(pwd: string, path: string): string {
  const from = pwd === "." ? [] : pwd.split("/");
  const to = path === "." ? [] : path.split("/");
  let common = 0;
  while (common < from.length && common < to.length && from[common] === to[common]) common++;
  const parts = [...from.slice(common).map(() => ".."), ...to.slice(common)];
  return parts.length === 0 ? "." : parts.join("/");
}

/** Returns the paths by the root of the innermost repository that holds them, and relative to it. */
export function pathsByRepository(root: string, paths: readonly string[]): Map<string, string[]> {
  const places = new Map<string, string[]>();
  for (const path of paths) {
    const place = innermostRepository(root, path.split("/").slice(0, -1).join("/") || ".");
    const absolute = place === "." ? root : `${root}/${place}`;
    const relative = place === "." ? path : path.slice(place.length + 1);
    places.set(absolute, [...places.get(absolute) ?? [], relative]);
  }
  return places;
}

/** Returns the innermost repository that a path lies in or is itself, `.` for the dataset. */
export function innermostRepository(root: string, path: string): string {
  const parts = path === "." ? [] : path.split("/");
  for (let length = parts.length; length > 0; length--) {
    const at = parts.slice(0, length).join("/");
    if (isRepository(`${root}/${at}`)) return at;
  }
  return ".";
}
