import { asToolError, type ErrorKind, ToolError } from "../errors.ts";
import { interruption } from "../process/interruption.ts";
import { harmless } from "../record/show.ts";
import type { FailureRecord } from "./json/records.ts";
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

/**
 * Shows an error of a command to the reader, and as an object where those are wanted; returns the
 * exit code that stands for it.
 */
export function reportError(terminal: Terminal, action: string, thrown: unknown): number {
  // A program that the signal has ended is no failure of its own.
  const error = asToolError(interruption.aborted ? interruption.reason : thrown);
  if (error === undefined) {
    const trace = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
    return fail(terminal, {
      action,
      status: "error",
      message: "This is a bug of datalad-slurm; nothing that Slurm accepted is lost",
      hint: "Run `datalad-slurm status`, which goes on from where this command stopped",
      details: trace.split("\n"),
      kind: "bug",
      exit_code: EXIT.bug,
    });
  }
  return showError(terminal, action, error);
}

/**
 * Shows an error, with the line of a batch that it is about, and returns the exit code that stands
 * for it.
 */
export function showError(
  terminal: Terminal,
  action: string,
  error: ToolError,
  about: Pick<FailureRecord, "line" | "outcome"> = {},
): number {
  const { kind, message, hint, cause } = error;
  const details = error.details?.split("\n") ?? [];
  if (cause instanceof Error && !(cause instanceof ToolError)) details.push(cause.message);
  return fail(terminal, {
    action,
    status: kind === "refused" || kind === "usage" ? "impossible" : "error",
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(details.length === 0 ? {} : { details }),
    kind,
    exit_code: BY_KIND[kind],
    ...about,
  });
}

function fail(terminal: Terminal, failure: FailureRecord): number {
  const { message, details = [], hint, line } = failure;
  const about = line === undefined ? "" : `Line ${line}: `;
  terminal.error(about + harmless(message), details.map(harmless), hint && harmless(hint));
  if (terminal.json) terminal.record(failure);
  return failure.exit_code;
}
