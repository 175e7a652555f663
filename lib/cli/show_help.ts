import { ToolError } from "../errors.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { showLong } from "./pager.ts";
import { painted } from "./style.ts";
import type { Terminal } from "./terminal.ts";

/** What there is a text on besides the commands. */
const TOPICS: readonly string[] = ["guide", "config"];

/**
 * Shows `help [TOPIC]` for a reader, or `help --man [TOPIC]` for man, where a topic is a command or one of
 * {@link TOPICS}, and returns
 * the exit code. Throws a {@link ToolError} for any other topic.
 */
export async function showHelp(
  commands: readonly Command[],
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [topic] = words.filter((word) => word !== "--man");
  const about = commands.find(({ name, aliases }) =>
    topic !== undefined && (name === topic || aliases.includes(topic))
  );
  if (topic !== undefined && about === undefined && !TOPICS.includes(topic)) {
    throw new ToolError("usage", `There is no help on ${JSON.stringify(topic)}`, {
      hint: "See the commands with: datalad-slurm --help; how to use them with: " +
        "datalad-slurm help guide",
    });
  }
  if (words.includes("--man")) {
    const { manPage } = await import("./manual.ts");
    terminal.result(manPage(commands, about?.name ?? topic).trimEnd());
  } else if (topic !== undefined && about === undefined) {
    const { configLines, guideLines } = await import("./manual.ts");
    const heading = (text: string) => terminal.colour ? painted(text, "bold") : text;
    const lines = topic === "config"
      ? configLines(terminal.width)
      : guideLines(terminal.width, heading);
    // Not about a dataset: the pager is that of the user.
    await showLong(lines, terminal, "/");
  } else {
    const help = about === undefined
      ? generalHelp(commands, terminal.width)
      : commandHelp(about, terminal.width);
    for (const line of help) terminal.result(line);
  }
  return EXIT.done;
}
