import { answerOf } from "../process/run.ts";
import { gitEnvironment } from "./git.ts";

/**
 * Returns whether git would colour its output on a terminal, for a user in the current directory:
 * what `color.datalad-slurm`, and below it `color.ui`, says; true when git cannot tell.
 */
export function wantsColour(): boolean {
  const argv = ["git", "config", "--get-colorbool", "color.datalad-slurm", "true"];
  return answerOf(argv, { env: gitEnvironment() })?.trim() !== "false";
}
