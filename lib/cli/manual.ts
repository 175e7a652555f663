import { buildInfo } from "../executable/build_info.ts";
import guide from "./guide.md" with { type: "text" };
import type { OptionSpec } from "./arguments.ts";
import type { Command } from "./command.ts";
import { EXIT_CODES, GENERAL_DESCRIPTION, GENERAL_SUMMARY, optionsOf, wrap } from "./help.ts";
import { plainInline, plainText } from "./plain_text.ts";
import { SETTINGS } from "../dataset/settings.ts";
import {
  bold,
  italic,
  roffExample,
  roffFromMarkdown,
  roffInline,
  roffText,
  roffTitle,
} from "./roff.ts";

/** A man page: the name of its file, and its text. */
export interface ManPage {
  readonly file: string;
  readonly text: string;
}

/** Returns all man pages: of the tool, of each command, and the guide. */
export function manPages(commands: readonly Command[]): ManPage[] {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  return [
    toolPage(shown),
    ...shown.map(commandPage),
    configPage(),
    page("datalad-slurm-guide", 7, [
      ...nameSection("datalad-slurm-guide", "how to work with datalad-slurm"),
      ...roffFromMarkdown(guide),
      ...seeAlso([["datalad-slurm", 1]]),
    ]),
  ];
}

/** Returns the page of the tool, or of a command or topic of it. */
export function manPage(commands: readonly Command[], topic: string | undefined): string {
  const name = topic === undefined ? "datalad-slurm" : `datalad-slurm-${topic}`;
  return manPages(commands).find(({ file }) => file.replace(/\.\d$/, "") === name)?.text ?? "";
}

/** Returns the lines of the guide for a terminal without man; its headings are set off. */
export function guideLines(width: number, heading: (text: string) => string): string[] {
  return plainText(guide, width, heading);
}

const CONFIG_SUMMARY = "defaults for datalad-slurm, in git's configuration";

const CONFIG_DESCRIPTION: readonly string[] = [
  "Defaults are set with `git config`, for one clone or, with `--global`, for all. Options of the " +
  "command line stand above them. A value that cannot be understood is an error that names the " +
  "key and the file.",
  "Some keys may stand in the file `.datalad/config` of a dataset as well, which all its clones " +
  "share; what git's own files say stands above it.",
];

/** Returns the lines on the configuration for a terminal without man. */
export function configLines(width: number): string[] {
  return [
    ...CONFIG_DESCRIPTION.flatMap((text) => [...wrap(plainInline(text), "", width), ""]),
    ...SETTINGS.flatMap(({ key, value, help, shared }) => [
      `${key} ${value}`,
      ...wrap(plainInline(`${help}.${shared ? SHARED : ""}`), "    ", width),
      "",
    ]),
  ].slice(0, -1);
}

const SHARED = " May stand in .datalad/config.";

function configPage(): ManPage {
  return page("datalad-slurm-config", 5, [
    ...nameSection("datalad-slurm-config", CONFIG_SUMMARY),
    ".SH DESCRIPTION",
    ...CONFIG_DESCRIPTION.flatMap((text) => [".PP", roffInline(text)]).slice(1),
    ".SH KEYS",
    ...SETTINGS.flatMap(({ key, value, help, shared }) => [
      ".TP",
      `${bold(key)} ${italic(value)}`,
      roffInline(`${help}.${shared ? SHARED : ""}`),
    ]),
    ".SH EXAMPLES",
    "Do not wait for the lock longer than a minute, in any dataset of mine:",
    ...roffExample(["git config --global datalad-slurm.lock-timeout 60"]),
    ".PP",
    "Commit what failed jobs left, in all clones of this dataset:",
    ...roffExample(["git config -f .datalad/config datalad-slurm.failed-jobs commit"]),
    ...seeAlso([["datalad-slurm", 1], ["git-config", 1]]),
  ]);
}

function toolPage(commands: readonly Command[]): ManPage {
  return page("datalad-slurm", 1, [
    ...nameSection("datalad-slurm", GENERAL_SUMMARY),
    ".SH SYNOPSIS",
    `${bold("datalad-slurm")} ${italic("COMMAND")} [${italic("OPTION")} \\&...]`,
    ".br",
    `${bold("datalad-slurm")} ${italic("COMMAND")} ${bold("--help")}`,
    ".SH DESCRIPTION",
    ...GENERAL_DESCRIPTION.flatMap((text) => [".PP", roffInline(text)]).slice(1),
    ".SH COMMANDS",
    ...commands.flatMap(({ name, summary }) => [
      ".TP",
      `${bold(`datalad-slurm-${name}`)}(1)`,
      roffInline(summary),
    ]),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, what]) => [".TP", bold(name), roffInline(what)]),
    ".SH FILES",
    ...FILES.flatMap(([name, what]) => [".TP", italic(name), roffInline(what)]),
    ...exitStatus(),
    ...seeAlso([
      ["datalad-slurm-config", 5],
      ["datalad-slurm-guide", 7],
      ["sbatch", 1],
      ["git", 1],
      ["git-annex", 1],
      ["datalad", 1],
    ]),
  ]);
}

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  [
    "DATALAD_SLURM_CACHE_DIR",
    "Where the executable unpacks itself, instead of the directory below.",
  ],
  [
    "XDG_CACHE_HOME",
    "The directory that has `datalad-slurm` in it; `~/.cache` when it is not set.",
  ],
  [
    "DATALAD_SLURM",
    "Where jobs are submitted to, as `--slurm` says: `local`, the stand-in on this machine, or " +
    "`cluster`, Slurm.",
  ],
  [
    "DATALAD_SLURM_LOCAL_DIR",
    "The folder of the stand-in, instead of `datalad-slurm/local/HOST` in `$XDG_STATE_HOME`, which is " +
    "`~/.local/state` when it is not set.",
  ],
  [
    "DATALAD_SLURM_LOCAL_JOBS",
    "How many jobs the stand-in runs at a time, from the next submission on; one for each CPU where it " +
    "was never set.",
  ],
  ["NO_COLOR", "No colours where it is set, unless `--color=always` is given."],
  ["SLURM_CONF", "Leads Slurm's own programs to the cluster."],
  [
    "GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL",
    "Who commits; else git's configuration says so.",
  ],
];

const FILES: readonly (readonly [string, string])[] = [
  [
    ".git/datalad-slurm/",
    "Lock, journal, reserved outputs and a cache. History holds everything that matters.",
  ],
  ["slurm-job-ID.env.json", "What Slurm knew of a finished job, committed with its results."],
  ["~/.cache/datalad-slurm/", "What the executable has unpacked; it can be removed at any time."],
];

function commandPage(command: Command): ManPage {
  const { name, aliases, summary, usage, description, examples } = command;
  return page(`datalad-slurm-${name}`, 1, [
    ...nameSection(`datalad-slurm-${name}`, summary),
    ".SH SYNOPSIS",
    `${bold(`datalad-slurm ${name}`)} [${italic("OPTION")} \\&...]` +
    (usage === "" ? "" : ` ${roffText(usage)}`),
    ...(aliases.length === 0
      ? []
      : [".PP", `Also called ${aliases.map((alias) => bold(alias)).join(", ")}.`]),
    ".SH DESCRIPTION",
    ...description.flatMap((text) => [".PP", roffInline(text)]).slice(1),
    ".SH OPTIONS",
    ...optionsOf(command).flatMap(optionEntry),
    ".SH EXAMPLES",
    ...examples.flatMap(([line, what]) => [
      ".PP",
      `${roffInline(what[0]?.toUpperCase() ?? "")}${roffInline(what.slice(1))}:`,
      ...roffExample([line]),
    ]).slice(1),
    ...exitStatus(),
    ...seeAlso([["datalad-slurm", 1], ["datalad-slurm-guide", 7]]),
  ]);
}

function optionEntry(option: OptionSpec): string[] {
  const long = bold(`--${option.name}`);
  const value = option.value === undefined ? "" : italic(option.value);
  const withValue = option.value === undefined
    ? long
    : option.optionalValue === true
    ? `${long}[=${value}]`
    : `${long} ${value}`;
  return [
    ".TP",
    option.short === undefined ? withValue : `${bold(`-${option.short}`)}, ${withValue}`,
    roffInline(option.help + (option.repeatable === true ? ". May be given several times" : "")) +
    ".",
  ];
}

function exitStatus(): string[] {
  return [
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, what]) => [".TP", bold(String(code)), `${roffInline(what)}.`]),
  ];
}

function nameSection(name: string, summary: string): string[] {
  return [".SH NAME", `${roffText(name)} \\- ${roffInline(summary)}`];
}

function seeAlso(pages: readonly (readonly [string, number])[]): string[] {
  const shown = pages.map(([name, section]) => `${bold(name)}(${section})`);
  return [".SH SEE ALSO", ...shown.map((entry, at) => at < pages.length - 1 ? `${entry},` : entry)];
}

function page(name: string, section: number, lines: readonly string[]): ManPage {
  const text = [
    '.\\" Made from the texts of --help; changes belong there.',
    // No hyphens in words: options and commands are copied from here. A .nh would end with the first
    // paragraph (groff 1.22).
    ".nr HY 0",
    roffTitle(name, section, buildInfo.version),
    ".ad l",
    ...lines,
    "",
  ].join("\n");
  return { file: `${name}.${section}`, text };
}
