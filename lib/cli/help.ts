import type { OptionSpec } from "./arguments.ts";
import { type Command, COMMON_OPTIONS } from "./command.ts";

/** Lines of text are no longer than this. */
const WIDTH = 80;

export const GENERAL_SUMMARY = "Slurm jobs as commits of a DataLad dataset";

export const GENERAL_DESCRIPTION: readonly string[] = [
  "A job's life: schedule submits it and records that in a commit; status shows how it is " +
  "doing; finish commits its results when it is over; reschedule submits it once more.",
];

/** What the exit codes mean, in a few words each. */
export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [0, "done"],
  [1, "refused, or a job failed"],
  [2, "usage"],
  [3, "an external program failed"],
  [4, "the lock was not to be had in time"],
  [8, "jobs are still pending or running"],
  [130, "interrupted"],
  [255, "a bug"],
];

/** Returns the help of the whole tool. */
export function generalHelp(commands: readonly Command[], width: number): string[] {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  return [
    `datalad-slurm: ${GENERAL_SUMMARY}`,
    "",
    "Usage: datalad-slurm COMMAND [OPTION …]",
    "",
    ...shown.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`),
    "",
    ...GENERAL_DESCRIPTION.flatMap((paragraph) => wrap(paragraph, "", width)),
    "",
    "datalad-slurm COMMAND --help tells more; datalad-slurm --version names the version.",
    ...wrap(
      "datalad-slurm help guide shows how to work with it; datalad-slurm help config, which defaults " +
        "git's configuration may set.",
      "",
      width,
    ),
    ...wrap(
      `Exit codes: ${EXIT_CODES.map(([code, what]) => `${code} ${what}`).join("; ")}.`,
      "",
      width,
    ),
  ];
}

/** Returns the help of one command. */
export function commandHelp(command: Command, width: number): string[] {
  const { name, aliases, summary, usage, description, examples } = command;
  return [
    `datalad-slurm ${name}: ${summary}`,
    "",
    `Usage: datalad-slurm ${name} [OPTION …] ${usage}`.trimEnd(),
    ...(aliases.length === 0 ? [] : [`Also called: ${aliases.join(", ")}`]),
    "",
    ...description.flatMap((paragraph) => [...wrap(paragraph, "", width), ""]),
    "Options:",
    ...optionsOf(command).flatMap((option) => optionHelp(option, width)),
    "",
    "Examples:",
    ...examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]),
  ];
}

/** Returns the options of a command as they are shown, with those that all commands have. */
export function optionsOf({ options }: Command): OptionSpec[] {
  return [...options, ...COMMON_OPTIONS];
}

function optionHelp(option: OptionSpec, width: number): string[] {
  const value = option.value === undefined
    ? ""
    : option.optionalValue === true
    ? `[=${option.value}]`
    : ` ${option.value}`;
  const names = `  ${option.short === undefined ? "    " : `-${option.short}, `}--${option.name}` +
    value;
  return [names, ...wrap(option.help, " ".repeat(10), width)];
}

/** Breaks text into lines of 80 columns, or less on a narrower terminal, each with the indent. */
export function wrap(text: string, indent: string, width = WIDTH): string[] {
  const most = Math.min(width, WIDTH);
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length > indent.length && line.length + 1 + word.length > most) {
      lines.push(line);
      line = indent;
    }
    line += line.length > indent.length ? ` ${word}` : word;
  }
  return [...lines, line];
}
