import type { ArgumentSpec, OptionSpec, ParsedArguments } from "./arguments.ts";
import { ToolError } from "../errors.ts";
import type { AutoFinish } from "../commands/auto_finish.ts";
import type { LockPatience } from "../commands/locked.ts";
import type { Preparation } from "../commands/submission_request.ts";
import { harmless } from "../record/show.ts";
import { progressOn, readableDuration } from "./progress.ts";
import { describeHolder } from "../store/lock.ts";
import type { Manner, Terminal } from "./terminal.ts";

/** One command of the command line: how it is called, what it is for, and how it runs. */
export interface Command extends ArgumentSpec {
  readonly name: string;
  /** Further names; they are the same command. */
  readonly aliases: readonly string[];
  /** Whether it is for programs of ours alone, and in no list of commands. */
  readonly hidden?: boolean;
  /** What it does, in one line without a period. */
  readonly summary: string;
  /** The operands, as shown behind the options. */
  readonly usage: string;
  /** Paragraphs for `--help`. */
  readonly description: readonly string[];
  /** Command lines and what they do. */
  readonly examples: readonly (readonly [string, string])[];
  /** Runs the command and returns the exit code. */
  run(words: ParsedArguments, terminal: Terminal): Promise<number>;
}

export const DATASET: OptionSpec = {
  name: "dataset",
  short: "d",
  value: "DATASET",
  help: "The dataset, or a directory in it; the one of the current directory when absent",
};

export const MESSAGE: OptionSpec = {
  name: "message",
  short: "m",
  value: "TEXT",
  help: "A paragraph for the commit message",
};

export const SINCE: OptionSpec = {
  name: "since",
  value: "COMMIT",
  help: "All jobs that were submitted after this commit",
};

export const JSON_OUTPUT: OptionSpec = {
  name: "json",
  help: "Print one JSON object a line, for programs",
};

export const SLURM: OptionSpec = {
  name: "slurm",
  value: "local|cluster",
  choices: ["local", "cluster"],
  isOurs: true,
  help: "Where jobs are submitted to: `local` is a stand-in that runs them on this machine, for " +
    "trying things where there is no Slurm; DATALAD_SLURM says the same",
};

const HELP: OptionSpec = { name: "help", short: "h", help: "Show this help" };
const QUIET: OptionSpec = {
  name: "quiet",
  short: "q",
  help: "Say nothing but results, warnings and errors",
};
const VERBOSE: OptionSpec = {
  name: "verbose",
  short: "v",
  help: "Tell of every program that is run, and how long it took",
};
const COLOR: OptionSpec = {
  name: "color",
  value: "auto|always|never",
  choices: ["auto", "always", "never"],
  help: "Colours; `auto`: on a terminal, unless NO_COLOR is set or git's color.ui is `never`",
};

/** The options that every command has besides its own. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [JSON_OUTPUT, QUIET, VERBOSE, COLOR, HELP];

/** Returns the manner that the common options ask for. */
export function mannerOf(words: ParsedArguments): Manner {
  return {
    json: words.has(JSON_OUTPUT.name),
    quiet: words.has(QUIET.name),
    verbose: words.has(VERBOSE.name),
    color: words.last(COLOR.name) as Manner["color"] | undefined ?? "auto",
  };
}

export const LOCK_TIMEOUT: OptionSpec = {
  name: "lock-timeout",
  value: "SECONDS",
  isOurs: true,
  help: "How long to wait for the repository lock; for ever when absent",
};

export const ASSUME_READY: OptionSpec = {
  name: "assume-ready",
  value: "inputs|outputs|both",
  choices: ["inputs", "outputs", "both"],
  isOurs: true,
  help: "Do not fetch inputs, do not unlock outputs: they are ready as they are",
};

export const TRANSFERS: OptionSpec = {
  name: "jobs",
  short: "J",
  value: "N",
  help: "How many files are fetched at a time",
};

export const ALT_DIR: OptionSpec = {
  name: "alt-dir",
  value: "PATH",
  isOurs: true,
  help: "Run the job in this directory outside the dataset: inputs and the batch script are " +
    "copied there, results are copied back by finish",
};

/** The options that ask for a finishing job. */
export const AUTO_FINISH: readonly OptionSpec[] = [
  {
    name: "auto-finish",
    value: "OPTIONS",
    optionalValue: true,
    isOurs: true,
    help: "Submit a small job as well that runs finish on the cluster when the job has ended, " +
      "however it ended; OPTIONS are those of its sbatch, such as '--partition=short --time=10' " +
      "(default: datalad-slurm.autofinish.sbatch, else the job's partition, account and QOS)",
  },
  {
    name: "close-failed-jobs",
    isOurs: true,
    help: "With --auto-finish: record the job as closed, without its outputs, if it fails",
  },
  {
    name: "commit-failed-jobs",
    isOurs: true,
    help: "With --auto-finish: commit the outputs that the job left, if it fails",
  },
];

/** Returns how jobs are to be finished by jobs of their own; undefined where they are not. */
export function autoFinishOf(words: ParsedArguments): AutoFinish | undefined {
  const [close, commit] = [words.has("close-failed-jobs"), words.has("commit-failed-jobs")];
  if (close && commit) {
    throw new ToolError("usage", "--close-failed-jobs and --commit-failed-jobs exclude each other");
  }
  if (!words.has("auto-finish")) {
    if (!close && !commit) return undefined;
    const given = close ? "--close-failed-jobs" : "--commit-failed-jobs";
    throw new ToolError("usage", `${given} needs --auto-finish here`, {
      hint: "Without --auto-finish, finish is told what to do about failed jobs",
    });
  }
  return {
    failedJobs: close ? "close" : commit ? "commit" : undefined,
    options: words.last("auto-finish") || undefined,
  };
}

/** Returns how inputs and outputs are to be made ready. */
export function preparationOf(words: ParsedArguments): Preparation {
  const jobs = words.last(TRANSFERS.name);
  if (jobs !== undefined && !/^[1-9]\d{0,2}$/.test(jobs)) {
    throw new ToolError(
      "usage",
      `--jobs takes a number from 1 to 999, not ${JSON.stringify(jobs)}`,
    );
  }
  return {
    assumeReady: words.last(ASSUME_READY.name) as Preparation["assumeReady"],
    transfers: jobs === undefined ? undefined : Number(jobs),
  };
}

/** Returns how a command waits for the repository lock, and says for whom it waits. */
export function patienceOf(
  command: string,
  words: ParsedArguments,
  terminal: Terminal,
): LockPatience {
  const given = words.last(LOCK_TIMEOUT.name);
  const seconds = given === undefined ? undefined : Number(given);
  if (seconds !== undefined && !(seconds >= 0 && seconds <= 1e6)) {
    throw new ToolError("usage", `--lock-timeout takes seconds, not ${JSON.stringify(given)}`);
  }
  return {
    command: `datalad-slurm ${command}`,
    timeoutMs: seconds === undefined ? undefined : seconds * 1000,
    say: (line) => terminal.say(harmless(line)),
    begin: progressOn(terminal),
    onWait(holder, place, waitedMs) {
      const line =
        `Waiting ${readableDuration(waitedMs / 1000)} for the repository lock, held by ` +
        `${harmless(describeHolder(holder))}; number ${place} in the queue; ` +
        "if that is dead: datalad-slurm unlock";
      if (terminal.showsProgress) terminal.progress(line);
      else terminal.say(line);
    },
  };
}
