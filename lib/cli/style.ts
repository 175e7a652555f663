import type { JobPhase } from "../slurm/states.ts";

/** How text is set off on a terminal, by the numbers of ECMA-48. */
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 };

/** A colour, or another way of setting text off. */
export type Style = keyof typeof CODES;

/** Returns text in a style. */
export function painted(text: string, style: Style): string {
  return text === "" ? "" : `\x1b[${CODES[style]}m${text}\x1b[0m`;
}

/** The colours of job states, by what they mean to the reader. */
const OF_PHASE: Readonly<Record<JobPhase, Style>> = {
  pending: "yellow",
  running: "blue",
  completed: "green",
  failed: "red",
  unknown: "magenta",
};

/** Returns the colour of a job's state; jobs that Slurm was not asked about stand back. */
export function phaseStyle(phase: JobPhase | undefined): Style {
  return phase === undefined ? "dim" : OF_PHASE[phase];
}
