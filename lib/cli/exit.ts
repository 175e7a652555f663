import { type ErrorKind, ToolError } from "../errors.ts";
import { interruption } from "../process/interruption.ts";
import { harmless } from "../record/show.ts";
import type { Terminal } from "./terminal.ts";

/** The exit codes of all commands. */
export const EXIT = {
  done: 0,
  /** Refused, or a job failed. */
  refused: 1,
  usage: 2,
  /** An external program failed. */
  external: 3,
  /** The repository lock could not be had in time. */
  locked: 4,
  /** Nothing is wrong, but jobs are still pending or running. */
  pending: 8,
  interrupted: 130,
  bug: 255,
} as const;

const BY_KIND: Readonly<Record<ErrorKind, number>> = {
  refused: EXIT.refused,
  usage: EXIT.usage,
  external: EXIT.external,
  locked: EXIT.locked,
  interrupted: EXIT.interrupted,
};

/** Shows an error to the reader and returns the exit code that stands for it. */
export function reportError(terminal: Terminal, thrown: unknown): number {
  // A program that the signal has ended is no failure of its own.
  const error = interruption.aborted ? interruption.reason as unknown : thrown;
  if (!(error instanceof ToolError)) {
    const trace = error instanceof Error ? error.stack ?? error.message : String(error);
    terminal.error(
      "This is a bug of datalad-slurm; nothing that Slurm accepted is lost",
      trace.split("\n"),
      "Run `datalad-slurm status`, which goes on from where this command stopped",
    );
    return EXIT.bug;
  }
  return showError(terminal, error);
}

/** Shows an error, with what it is about in front, and returns the exit code that stands for it. */
export function showError(terminal: Terminal, error: ToolError, about = ""): number {
  const { message, details, cause, hint } = error;
  const below = details?.split("\n") ?? [];
  if (cause instanceof Error && !(cause instanceof ToolError)) below.push(cause.message);
  terminal.error(about + harmless(message), below.map(harmless), hint && harmless(hint));
  return BY_KIND[error.kind];
}
