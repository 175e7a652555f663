import { openJobWords } from "../commands/open_job_words.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import { type Command, DATASET } from "./command.ts";
import { EXIT } from "./exit.ts";

/** What the completion scripts ask; it never fails, for nobody could read why. */
export const completeCommand: Command = {
  name: "complete",
  aliases: [],
  hidden: true,
  summary: "Print the open jobs for a completion script",
  usage: "jobs",
  description: [
    "Prints ids of open jobs and their commands, newest first. Asks neither Slurm nor for the " +
    "lock, writes nothing, and gives up after a moment.",
  ],
  examples: [["datalad-slurm complete jobs", "print the open jobs"]],
  operands: "any",
  options: [DATASET],
  async run(words, terminal) {
    try {
      for (const { jobId, command } of await openJobWords(words.last("dataset"))) {
        terminal.result(`${jobId}\t${harmless(command.replace(/\s+/g, " ")).slice(0, 60)}`);
      }
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
    }
    return EXIT.done;
  },
};
