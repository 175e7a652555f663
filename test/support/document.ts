/** One command line that a document shows, and what it says that the command prints. */
export interface ShownCommand {
  /** The line as it goes to the shell; several lines where it is continued. */
  readonly command: string;
  /** The lines below it; none when the document shows only the command. */
  readonly output: readonly string[];
  /** The line of the document, from 1. */
  readonly line: number;
}

/** The code blocks below one heading of a Markdown document. */
export interface Section {
  readonly heading: string;
  readonly commands: readonly ShownCommand[];
  /** Lines of blocks that look like command lines and have no `$` in front. */
  readonly unmarked: readonly { readonly text: string; readonly line: number }[];
}

interface Line {
  readonly text: string;
  readonly line: number;
}

/** What the command lines of a reader begin with. */
const PROGRAMS =
  /^(?:datalad|datalad-slurm|git|make|sbatch|squeue|sacct|scancel|srun|ln|scp|export|module|man|eval) /;

/** Returns the sections of a Markdown document that show anything in code blocks. */
export function readSections(markdown: string): Section[] {
  const sections: { heading: string; blocks: Line[][] }[] = [];
  let heading = "";
  let block: Line[] | undefined;
  let fence: string | undefined;
  let before = "";
  for (const [index, text] of markdown.split("\n").entries()) {
    const line = index + 1;
    const mark = /^(`{3,})/.exec(text)?.[1];
    if (fence !== undefined) {
      if (mark === fence) fence = block = undefined;
      else block?.push({ text, line });
    } else if (mark !== undefined) {
      fence = mark;
      block = open();
    } else if (/^#+ /.test(text)) {
      heading = text.replace(/^#+ /, "");
      block = undefined;
    } else if (/^ {4}/.test(text) && (block !== undefined || before.trim() === "")) {
      // Below a list an indented line belongs to the item, but a block stands after an empty line.
      block ??= open();
      block.push({ text: text.slice(4), line });
    } else if (text.trim() === "") {
      block?.push({ text: "", line });
    } else {
      block = undefined;
    }
    before = text;
  }
  return sections.map((section) => ({
    heading: section.heading,
    commands: section.blocks.flatMap(commandsOf),
    unmarked: section.blocks.flatMap(unmarkedOf),
  }));

  function open(): Line[] {
    if (sections.at(-1)?.heading !== heading) sections.push({ heading, blocks: [] });
    const opened: Line[] = [];
    sections.at(-1)?.blocks.push(opened);
    return opened;
  }
}

function commandsOf(block: readonly Line[]): ShownCommand[] {
  const commands: { command: string; output: string[]; line: number }[] = [];
  for (const { text, line } of block) {
    const last = commands.at(-1);
    if (text.startsWith("$ ")) commands.push({ command: text.slice(2), output: [], line });
    else if (last === undefined) continue;
    else if (last.output.length === 0 && last.command.endsWith("\\")) last.command += `\n${text}`;
    else last.output.push(text);
  }
  for (const { output } of commands) while (output.at(-1) === "") output.pop();
  return commands;
}

function unmarkedOf(block: readonly Line[]): Line[] {
  // What follows a command is its output, or the file that `cat` shows.
  return block.some(({ text }) => text.startsWith("$ "))
    ? []
    : block.filter(({ text }) => PROGRAMS.test(text));
}

/**
 * Returns output with everything equal that differs from run to run: ids, times, numbers, the
 * widths of columns, and whether a job waits or runs already.
 */
export function normalised(output: readonly string[]): string[] {
  return output.map((line) =>
    line
      .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?\b/g, "TIME")
      .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b/g, "ID")
      .replace(/\d+(?:\.\d+)?/g, "ID")
      .replace(/\b(?:Pending|Running|Completing)\b(?: \(\w+\))?/gi, "Pending")
      .replace(/\+{2,}/g, "+")
      .replace(/[-─]{3,}/g, "---")
      .replace(/ +/g, " ")
      .trim()
  );
}

/** Whether lines are as shown; `…` stands for anything, on a line of its own for any lines. */
export function isAsShown(shown: readonly string[], real: readonly string[]): boolean {
  const pattern = normalised(shown).map((line) =>
    line === "…"
      ? "(?:.*\n)*?"
      : `${line.split("…").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".*")}\n`
  ).join("");
  return new RegExp(`^${pattern}$`).test(normalised(real).map((line) => `${line}\n`).join(""));
}
