import { recover } from "../commands/recover.ts";
import { joinPath } from "../paths.ts";
import { harmless } from "../record/show.ts";
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
    "jobs that Slurm accepted are recorded, reservations that nobody needs are released. A " +
    "submission of which nobody can say whether Slurm accepted it stays listed as in doubt. " +
    "Nothing is ever submitted again.",
  ],
  examples: [["datalad-slurm recover", "see what is in doubt"]],
  operands: "none",
  options: [
    DATASET,
    { name: "report", help: "Say what is there, and change nothing" },
    LOCK_TIMEOUT,
  ],
  async run(words, terminal) {
    const { root, journal: taken, released } = await recover(
      words.last("dataset"),
      words.has("report"),
      patienceOf("recover", words, terminal),
    );
    for (const entry of taken) showTakenUp(terminal, root, entry);
    for (const path of released) {
      if (terminal.json) {
        terminal.record({
          action: "release",
          status: "ok",
          path: joinPath(root, path),
          refds: root,
          ...(words.has("report") ? { dry_run: true } : {}),
        });
      } else {
        terminal.result(
          `${words.has("report") ? "Would release" : "Released"} the output ${
            harmless(JSON.stringify(path))
          }, which no open job holds`,
        );
      }
    }
    if (taken.length + released.length === 0 && !terminal.json) {
      terminal.result("Nothing was left unfinished");
    }
    return taken.some(({ outcome }) => outcome === "in doubt") ? EXIT.refused : EXIT.done;
  },
};
