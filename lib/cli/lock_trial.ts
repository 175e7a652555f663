import { ToolError } from "../errors.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

/** What `doctor` starts several times at once. */
export const lockTrialCommand: Command = {
  name: "lock-trial",
  aliases: [],
  hidden: true,
  summary: "Hold a lock in turn with other processes, for doctor",
  usage: "DIRECTORY",
  description: ["Prints how often this process was not alone with the lock."],
  examples: [["datalad-slurm lock-trial DIRECTORY", "take part in a trial"]],
  operands: "any",
  options: [],
  async run(words, terminal) {
    const [directory, ...others] = words.operands;
    if (directory === undefined || others.length > 0) {
      throw new ToolError("usage", "lock-trial takes one directory");
    }
    const { holdInTurn } = await import("../store/lock_trial.ts");
    terminal.result(String(await holdInTurn(directory)));
    return EXIT.done;
  },
};
