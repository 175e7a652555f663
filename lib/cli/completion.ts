import { ToolError } from "../errors.ts";
import type { Command } from "./command.ts";
import { allCommands } from "./commands.ts";
import { EXIT } from "./exit.ts";

export const completionCommand: Command = {
  name: "completion",
  aliases: [],
  summary: "Print a completion script for a shell",
  usage: "bash|zsh|fish",
  description: [
    "Prints what makes a shell complete commands, options and their values, ids of open jobs, " +
    "and commits. `make install` puts these scripts where the shells look for them; with a copy " +
    "of the executable alone, a line in the shell's start-up file does it. Open jobs are taken " +
    "from the dataset alone: Slurm is not asked.",
  ],
  examples: [
    ['eval "$(datalad-slurm completion bash)"', "in ~/.bashrc"],
    ['eval "$(datalad-slurm completion zsh)"', "in ~/.zshrc, below compinit"],
    ["datalad-slurm completion fish | source", "in ~/.config/fish/config.fish"],
  ],
  operands: "any",
  options: [],
  async run(words, terminal) {
    const { completionScript, SHELLS } = await import("./shell_completion.ts");
    const [given, ...others] = words.operands;
    const shell = SHELLS.find((name) => name === given);
    if (shell === undefined && given !== undefined) {
      throw new ToolError("usage", `There is no completion for ${JSON.stringify(given)}`, {
        hint: `There is one for: ${SHELLS.join(", ")}`,
      });
    }
    if (shell === undefined || others.length > 0) {
      throw new ToolError("usage", "completion takes the name of one shell", {
        hint: `One of: ${SHELLS.join(", ")}`,
      });
    }
    terminal.result(completionScript(shell, await allCommands()).trimEnd());
    return EXIT.done;
  },
};
