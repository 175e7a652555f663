import type { Check } from "../commands/checks.ts";
import { buildInfo } from "../executable/build_info.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type Command, DATASET, SLURM } from "./command.ts";
import { EXIT } from "./exit.ts";
import { painted, type Style } from "./style.ts";

export const doctorCommand: Command = {
  name: "doctor",
  aliases: [],
  summary: "Check what the commands need, and say what to do about it",
  usage: "",
  description: [
    "Looks at git, git-annex, Slurm's programs, slurmctld and its accounting, clocks and locale, " +
    "the space left, and in a dataset at the identity, the branch, what was left by commands " +
    "that were cut short, and whether the file system does what the repository lock asks of it. " +
    "Where jobs go to the local stand-in (--slurm, DATALAD_SLURM or the configuration say so), that " +
    "is looked at instead of Slurm. " +
    "A problem keeps commands from working; a warning is something to know. The exit code is 1 " +
    "where there is a problem.",
    "Nothing is changed; the lock is tried in a directory of its own. With --nodes that is done " +
    "from several nodes at once, which tells whether the file system keeps them in step.",
  ],
  examples: [
    ["datalad-slurm doctor", "check this machine and the dataset here"],
    ["datalad-slurm doctor --slurm local", "check this machine where it has no Slurm"],
    ["datalad-slurm doctor --nodes 2", "try the lock from two nodes of the cluster"],
    ["srun datalad-slurm doctor", "check a compute node"],
  ],
  operands: "none",
  options: [
    DATASET,
    SLURM,
    {
      name: "nodes",
      value: "N",
      help: "Try the lock from this many nodes at once, by srun, where there is a dataset",
    },
  ],
  async run(words, terminal) {
    // Not on the start path of other commands.
    const { doctor } = await import("../commands/doctor.ts");
    const found = { ok: 0, warning: 0, problem: 0 };
    const checks = doctor({
      dataset: words.last("dataset"),
      nodes: nodesOf(words),
      cache: cacheDirectory(),
    });
    for await (const check of checks) {
      found[check.verdict]++;
      if (terminal.json) {
        terminal.record({
          action: "doctor",
          status: check.verdict === "problem" ? "error" : "ok",
          check: check.name,
          verdict: check.verdict,
          message: check.message,
          ...(check.hint === undefined ? {} : { hint: check.hint }),
        });
      } else {
        for (const line of linesOf(check, terminal.colour)) terminal.result(line);
      }
    }
    if (!terminal.json) terminal.say(summary(found));
    return found.problem > 0 ? EXIT.refused : EXIT.done;
  },
};

function nodesOf(words: ParsedArguments): number | undefined {
  const given = words.last("nodes");
  if (given === undefined) return undefined;
  if (/^[1-9]\d{0,2}$/.test(given)) return Number(given);
  throw new ToolError(
    "usage",
    `--nodes takes a number from 1 to 999, not ${JSON.stringify(given)}`,
  );
}

/** The self-extracting executable runs from the directory into which it has unpacked itself. */
function cacheDirectory(): string | undefined {
  if (buildInfo.kind !== "self-extracting") return undefined;
  const runtime = Deno.execPath();
  return runtime.slice(0, runtime.lastIndexOf("/"));
}

const STYLES: Readonly<Record<Check["verdict"], Style>> = {
  ok: "green",
  warning: "yellow",
  problem: "red",
};

function linesOf({ name, verdict, message, hint }: Check, colour: boolean): string[] {
  const word = verdict.padEnd(7);
  const shown = colour ? painted(word, STYLES[verdict]) : word;
  return [
    `${shown}  ${name}: ${harmless(message)}`,
    ...(hint === undefined ? [] : [`         ${harmless(hint)}`]),
  ];
}

function summary({ warning, problem }: Readonly<Record<Check["verdict"], number>>): string {
  if (problem + warning === 0) return "All is well";
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  return [
    ...(problem > 0 ? [count(problem, "problem")] : []),
    ...(warning > 0 ? [count(warning, "warning")] : []),
  ].join(", ");
}
