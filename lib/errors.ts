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
