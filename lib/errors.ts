/**
 * What kind of trouble an error is. The command line turns each kind into one exit code
 * (`lib/cli/exit.ts`), so a kind says who has to act:
 *
 * - `refused`: the request cannot be carried out as things stand; nothing was changed.
 * - `usage`: the command line itself is wrong.
 * - `external`: git, git-annex, Slurm or another program failed.
 * - `locked`: the repository lock could not be had in time.
 * - `interrupted`: a signal asked the command to stop.
 */
export type ErrorKind = "refused" | "usage" | "external" | "locked" | "interrupted";

/** What a {@link ToolError} carries besides its kind and message. */
export interface ToolErrorOptions {
  /** One or more sentences that tell the reader what to do, without a final period. */
  readonly hint?: string;
  /** Further lines shown below the message as they are, such as a program's stderr. */
  readonly details?: string;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/**
 * The one error that code of this project throws for trouble a user can act on. Anything else that
 * is thrown is a bug. The message starts with a capital, names the thing, quotes paths and ends
 * without a period.
 */
export class ToolError extends Error {
  override readonly name = "ToolError";
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly details: string | undefined;

  constructor(kind: ErrorKind, message: string, options: ToolErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
    this.details = options.details;
  }
}

/** What the file system says that a user can act on, by the code of the error, and what to do. */
const FILE_SYSTEM_TROUBLE: Readonly<Record<string, string>> = {
  ENOSPC: "Free some space and run the command again",
  EDQUOT: "Free some of your quota and run the command again",
  EFBIG: "Raise the limit on the size of files (ulimit -f) and run the command again",
  EROFS: "Use a clone on a file system that may be written to",
  EACCES: "Check the permissions of the repository, and of the files that are named",
  EPERM: "Check the permissions of the repository, and of the files that are named",
  EIO: "Ask those who run the file system, then run the command again",
  ESTALE: "The network file system has lost it; run the command again",
  ETIMEDOUT: "The network file system does not answer; run the command again",
  ENOTCONN: "The network file system is not there; mount it again",
  EMFILE: "Raise the limit on open files (ulimit -n) and run the command again",
  ENFILE: "The machine has too many open files; run the command again later",
  ENOMEM: "The machine is out of memory; run the command again later",
  EAGAIN: "The machine has no room for another process; run the command again later",
};

/** Numbers of Linux for errors that Deno gives no code (2.9). */
const WITHOUT_CODE: Readonly<Record<string, string>> = {
  "5": "EIO",
  "23": "ENFILE",
  "107": "ENOTCONN",
  "116": "ESTALE",
  "122": "EDQUOT",
};

/**
 * Returns an error as one that a user can act on: itself where it is one, trouble of the file
 * system by its code or number; undefined for anything else, which is a bug.
 */
export function asToolError(error: unknown): ToolError | undefined {
  if (error instanceof ToolError) return error;
  if (!(error instanceof Error)) return undefined;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1] ?? "";
  const code = "code" in error ? error.code : WITHOUT_CODE[number];
  const hint = typeof code === "string" ? FILE_SYSTEM_TROUBLE[code] : undefined;
  if (hint === undefined) return undefined;
  return new ToolError("external", `The file system refuses: ${error.message}`, {
    hint: `Nothing that Slurm accepted is lost. ${hint}`,
  });
}

/** Returns the first so many of a list, for a message: `a, b and 3 more`. */
export function firstOf(names: readonly string[], most: number): string {
  const more = names.length - most;
  const named = names.slice(0, most).join(", ");
  return more > 0 ? `${named} and ${more} more` : named;
}
