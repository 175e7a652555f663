import type { OptionSpec } from "./arguments.ts";
import { type Command, COMMON_OPTIONS } from "./command.ts";

const WIDTH = 80;

/** Returns the help of the whole tool. */
export function generalHelp(commands: readonly Command[]): string[] {
  return [
    "datalad-slurm: Slurm jobs as commits of a DataLad dataset",
    "",
    "Usage: datalad-slurm COMMAND [OPTION …]",
    "",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`),
    "",
    ...wrap(
      "A job's life: schedule submits it and records that in a commit; status shows how it is " +
        "doing; finish commits its results when it is over; reschedule submits it once more.",
      "",
    ),
    "",
    "datalad-slurm COMMAND --help tells more; datalad-slurm --version names the version.",
    "Exit codes: 0 done, 1 refused or a job failed, 2 usage, 3 an external program failed,",
    "4 the lock was not to be had in time, 8 jobs are still pending or running.",
  ];
}

/** Returns the help of one command. */
export function commandHelp(command: Command): string[] {
  const { name, aliases, summary, usage, description, examples, options } = command;
  return [
    `datalad-slurm ${name}: ${summary}`,
    "",
    `Usage: datalad-slurm ${name} [OPTION …] ${usage}`.trimEnd(),
    ...(aliases.length === 0 ? [] : [`Also called: ${aliases.join(", ")}`]),
    "",
    ...description.flatMap((paragraph) => [...wrap(paragraph, ""), ""]),
    "Options:",
    ...options.flatMap(optionHelp),
    ...COMMON_OPTIONS.flatMap(optionHelp),
    "",
    "Examples:",
    ...examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]),
  ];
}

function optionHelp(option: OptionSpec): string[] {
  const value = option.value === undefined
    ? ""
    : option.optionalValue === true
    ? `[=${option.value}]`
    : ` ${option.value}`;
  const names = `  ${option.short === undefined ? "    " : `-${option.short}, `}--${option.name}` +
    value;
  return [names, ...wrap(option.help, " ".repeat(10))];
}

/** Breaks text into lines that fit the width, each with the indent in front. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length > indent.length && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent;
    }
    line += line.length > indent.length ? ` ${word}` : word;
  }
  return [...lines, line];
}
