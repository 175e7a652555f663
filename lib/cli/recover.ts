import { recover, type RecoverOptions } from "../commands/recover.ts";
import { ToolError } from "../errors.ts";
import { joinPath } from "../paths.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type Command, DATASET, LOCK_TIMEOUT, patienceOf } from "./command.ts";
import { EXIT } from "./exit.ts";
import { showTakenUp } from "./status.ts";

export const recoverCommand: Command = {
  name: "recover",
  aliases: [],
  summary: "Go on with what commands that were cut short have left",
  usage: "",
  description: [
    "Every command does this at its start; `recover` does only this and tells what it found: " +
    "jobs that Slurm accepted are recorded, reservations that nobody needs are released, those " +
    "that open jobs have lost are made again. A submission of which nobody can say whether Slurm " +
    "accepted it stays listed as in doubt. Nothing is ever submitted again.",
    "A command on a machine that has vanished stays listed as at work, as nobody can prove its " +
    "end. Once you know that it is dead, --force TOKEN says so. Where Slurm cannot tell either " +
    "what it submitted, --job JOBID or --job none does; --job 'JOBID;CLUSTER' for another cluster's.",
  ],
  examples: [
    ["datalad-slurm recover", "see what is in doubt"],
    ["datalad-slurm recover --force TOKEN", "go on with what a command on a lost node has left"],
  ],
  operands: "none",
  options: [
    DATASET,
    { name: "report", help: "Say what is there, and change nothing" },
    { name: "force", value: "TOKEN", help: "The command that has left this entry is dead" },
    {
      name: "job",
      value: "JOBID|none",
      help: "With --force: the job that the command submitted, where Slurm cannot tell",
    },
    LOCK_TIMEOUT,
  ],
  async run(words, terminal) {
    const { root, journal, released, restored } = await recover(
      recoverOptions(words),
      patienceOf("recover", words, terminal),
    );
    for (const entry of journal) showTakenUp(terminal, root, entry);
    const reports = words.has("report");
    const show = (
      action: "release" | "reserve",
      what: string,
      why: string,
      paths: readonly string[],
    ) => {
      for (const path of paths) {
        if (!terminal.json) {
          terminal.result(`${what} the output ${harmless(JSON.stringify(path))}, which ${why}`);
          continue;
        }
        terminal.record({
          action,
          status: "ok",
          path: joinPath(root, path),
          refds: root,
          ...(reports ? { dry_run: true } : {}),
        });
      }
    };
    show("release", reports ? "Would release" : "Released", "no open job holds", released);
    show("reserve", reports ? "Would reserve" : "Reserved", "an open job will write", restored);
    if (journal.length + released.length + restored.length === 0 && !terminal.json) {
      terminal.result("Nothing was left unfinished");
    }
    return journal.some(({ outcome }) => outcome === "in doubt") ? EXIT.refused : EXIT.done;
  },
};

/** Returns what the words of a command line ask of `recover`. */
export function recoverOptions(words: ParsedArguments): RecoverOptions {
  const [force, job] = [words.last("force"), words.last("job")];
  if (job !== undefined && !/^(none|[1-9]\d*(;[^\s;]+)?)$/.test(job)) {
    throw new ToolError("usage", `--job takes a job id or none, not ${JSON.stringify(job)}`);
  }
  if (job !== undefined && force === undefined) {
    throw new ToolError("usage", "--job says what a dead command submitted: name it by --force", {
      hint: "See the tokens with: datalad-slurm recover --report",
    });
  }
  if (force !== undefined && words.has("report")) {
    throw new ToolError("usage", "--force and --report exclude each other");
  }
  return { dataset: words.last("dataset"), report: words.has("report"), force, job };
}
