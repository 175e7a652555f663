/** Pure functions on POSIX paths; nothing here looks at the file system. */

/** Returns an absolute, normalised path; a relative one is taken from `base`. */
export function absolutePath(path: string, base: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${base}/${path}`).split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/**
 * Returns an absolute path relative to `root` (`.` for the root itself), or undefined when it lies
 * outside.
 */
export function pathBelow(root: string, path: string): string | undefined {
  if (path === root) return ".";
  const prefix = root === "/" ? "/" : `${root}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

/** Returns `base/path` for normalised relative paths, where `.` stands for nothing. */
export function joinPath(base: string, path: string): string {
  if (base === "." || base === "") return path;
  return path === "." || path === "" ? base : `${base}/${path}`;
}

/** Returns the directory that holds a normalised relative path; `.` at the top. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash);
}

/** Yields a normalised relative path and the directories above it, `.` at the end. */
export function* pathAndAbove(path: string): Generator<string> {
  for (let at = path; at !== "."; at = parentPath(at)) yield at;
  yield ".";
}

/** Whether a normalised relative path is `directory` itself or lies below it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "." || path === directory || path.startsWith(`${directory}/`);
}
