/** Small questions to the file system that many places ask. */

/** Whether something of that path is there; a dangling symbolic link is. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a directory is the root of a git repository: its own, or a submodule's. */
export function isRepository(directory: string): boolean {
  return isThere(`${directory}/.git`);
}

/** Whether an error of the file system says that there is no such file. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** Why a file could not be looked at that {@link isDenial} is about, for people. */
export const PERMISSION_DENIED = "permission denied";

/** Whether an error of the file system says that the user may not do that. */
export function isDenial(error: unknown): error is Error {
  return error instanceof Deno.errors.PermissionDenied;
}

/** Whether an error is the file system's, of whatever kind: some have neither class nor code (Deno 2.9). */
export function isFileSystemError(error: unknown): error is Error {
  return error instanceof Error && /\(os error \d+\)/.test(error.message);
}

/** Whether an error of the file system says that no file can have such a name. */
export function isNameTooLong(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENAMETOOLONG";
}
