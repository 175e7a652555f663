import { ToolError } from "../errors.ts";
import { buildInfo } from "../executable/build_info.ts";
import type { Invocation } from "../executable/environment.ts";
import { interruption, watchSignals } from "../process/interruption.ts";
import { plainArgv } from "../git/git.ts";
import { observeRuns, type RunObserver } from "../process/run.ts";
import { quoteWord } from "../record/command.ts";
import { harmless } from "../record/show.ts";
import { setOwnProgram } from "../process/own_program.ts";
import { observeSlowAnswers } from "../slurm/ask.ts";
import { CHOICE } from "../slurm/local/choice.ts";
import { nearest, parseArguments } from "./arguments.ts";
import { type Command, COMMON_OPTIONS, JSON_OUTPUT, mannerOf, SLURM } from "./command.ts";
import { allCommands, findCommand } from "./commands.ts";
import { EXIT, reportError } from "./exit.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { showHelp } from "./show_help.ts";
import { handOverToDatalad } from "./hand_over.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

const TOOL = "datalad-slurm";

/** Called through a link of this name, the executable stands in front of DataLad's. */
const DATALAD = "datalad";

/** Called by a name of these, or told to be one of them, the executable stands in for Slurm. */
const SLURM_PROGRAMS = ["sbatch", "squeue", "sacct", "scontrol", "scancel"];
const AS_STAND_IN = /^--stand-in=/;

/**
 * Runs the command line and returns the exit code. The name that the executable was called by
 * counts: `datalad`, or a command's.
 */
export async function runCommandLine(
  words: readonly string[],
  invocation: Invocation,
  terminal: Terminal = processTerminal(),
): Promise<number> {
  setOwnProgram(invocation.executable);
  const standsIn = SLURM_PROGRAMS.includes(invocation.name) || AS_STAND_IN.test(words[0] ?? "");
  try {
    if (standsIn) {
      // Loaded when it is needed only: it is not to slow down the start of the commands.
      const { runAsStandIn } = await import("./stand_in.ts");
      return await runAsStandIn(words, invocation, terminal);
    }
    const own = await findCommand(invocation.name);
    if (own !== undefined) return await runCommand(own, words, terminal);
    const [name, ...rest] = words;
    const command = name === undefined ? undefined : await findCommand(name);
    if (invocation.name === DATALAD && (command === undefined || !isShared(command))) {
      return await handOverToDatalad(words, invocation.executable);
    }
    if (command !== undefined) return await runCommand(command, rest, terminal);
    return await runWithoutCommand(name, rest, terminal);
  } catch (error) {
    return reportError(standsIn ? terminal : asAskedFor(words, terminal), TOOL, error);
  }
}

/** A command line that cannot be read may still ask for objects. */
function asAskedFor(words: readonly string[], terminal: Terminal): Terminal {
  return words.includes(`--${JSON_OUTPUT.name}`) ? terminal.as({ json: true }) : terminal;
}

/** The commands that `datalad` has with the extension of the same name. */
function isShared(command: Command): boolean {
  return command.aliases.length > 0;
}

async function runCommand(
  command: Command,
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  let chosen = terminal;
  try {
    const options = [...command.options, ...COMMON_OPTIONS];
    const parsed = parseArguments({ ...command, options }, words);
    if (parsed.has("help")) {
      for (const line of commandHelp(command, chosen.width)) terminal.result(line);
      return EXIT.done;
    }
    const manner = mannerOf(parsed);
    chosen = terminal.as(manner);
    if (manner.verbose) observeRuns((...ended) => chosen.say(runLine(...ended)));
    if (chosen.showsProgress) {
      observeSlowAnswers((program, seconds) =>
        chosen.progress(
          seconds === undefined ? undefined : `Waiting for ${program}'s answer: ${seconds} s`,
        )
      );
    }
    const slurm = parsed.last(SLURM.name);
    // Programs that are started, and jobs by them, learn of it as well.
    if (slurm !== undefined) Deno.env.set(CHOICE, slurm);
    watchSignals((signal) => chosen.say(`Stopping after ${signal}; once more stops at once`));
    const code = await command.run(parsed, chosen);
    return interruption.aborted ? EXIT.interrupted : code;
  } catch (error) {
    const shown = chosen === terminal ? asAskedFor(words, terminal) : chosen;
    return reportError(shown, command.name, error);
  } finally {
    chosen.progress(undefined);
  }
}

async function runWithoutCommand(
  name: string | undefined,
  rest: readonly string[],
  terminal: Terminal,
): Promise<number> {
  switch (name) {
    case "--version":
      terminal.result(versionLine());
      return EXIT.done;
    case "help":
    case "--help":
    case "-h":
      return await showHelp(await allCommands(), rest, terminal);
    case undefined:
      for (const line of generalHelp(await allCommands(), terminal.width)) terminal.say(line);
      return EXIT.usage;
    case "cancel":
    case "scancel":
      throw new ToolError("usage", `There is no command "${name}": Slurm cancels jobs`, {
        hint: await howToCancel(),
      });
    default: {
      const shown = (await allCommands()).filter(({ hidden }) => hidden !== true);
      const near = nearest(shown.map((command) => command.name), name);
      throw new ToolError("usage", `There is no command ${JSON.stringify(name)}`, {
        hint: near === undefined
          ? "See the commands with: datalad-slurm --help"
          : `Perhaps ${near} is meant; see the commands with: datalad-slurm --help`,
      });
    }
  }
}

/** Returns how jobs are cancelled: those of Slurm, and those of the stand-in where it was used. */
async function howToCancel(): Promise<string> {
  const { standInProgram } = await import("../slurm/local/place.ts");
  const path = standInProgram("scancel");
  const ofStandIn = path === undefined ? "" : `; one of the local stand-in with: ${path} JOBID`;
  return `Cancel a job with: scancel JOBID${ofStandIn}; then finish --close-failed-jobs records it`;
}

/** Returns a line on a program that was run, for `--verbose`; bash runs it when it is copied. */
function runLine(...[{ argv, code, signal }, milliseconds]: Parameters<RunObserver>): string {
  const ending = signal !== null ? ` (${signal})` : code !== 0 ? ` (exit code ${code})` : "";
  const command = plainArgv(argv).map(wordOfLine).join(" ");
  return `${milliseconds.toFixed(0).padStart(6)} ms  ${command}${ending}`;
}

/** Returns a word for the shell, on one line whatever is in it. */
function wordOfLine(word: string): string {
  if (harmless(word) === word) return quoteWord(word);
  return `$'${harmless(word.replace(/[\\']/g, "\\$&"))}'`;
}

function versionLine(): string {
  const { version, commit, kind } = buildInfo;
  const from = commit === "" ? "" : `commit ${commit}, `;
  return `datalad-slurm ${version} (${from}Deno ${Deno.version.deno}, ${kind})`;
}
