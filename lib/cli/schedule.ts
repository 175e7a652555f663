import { pathsToPin, pinFiles } from "../commands/pin_files.ts";
import { planSchedule, schedule, type ScheduleOptions } from "../commands/schedule.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import {
  ALT_DIR,
  ASSUME_READY,
  AUTO_FINISH,
  autoFinishOf,
  type Command,
  DATASET,
  LOCK_TIMEOUT,
  MESSAGE,
  patienceOf,
  preparationOf,
  SLURM,
  TRANSFERS,
} from "./command.ts";
import { EXIT } from "./exit.ts";
import { plannedRecord, showSubmitted } from "./submitted.ts";

export const scheduleCommand: Command = {
  name: "schedule",
  aliases: ["slurm-schedule"],
  summary: "Submit a Slurm job and record it in the dataset",
  usage: "-o PATH [-o PATH …] [--] COMMAND …",
  description: [
    "Runs COMMAND, which submits a job (as `sbatch job.sh` does), and records it in a commit " +
    "that changes no file. Once the job is over, `finish` commits its results.",
    "Everything from the first word of COMMAND on belongs to it: options of schedule stand before " +
    "it, and one that only schedule has is refused there, unless -- stands before COMMAND. A single quoted word is a " +
    "command line for the shell. Placeholders are those of `datalad run`: {inputs}, {outputs}, " +
    "{pwd}, {dspath}, {tmpdir}, {inputs[0]}, and {{ and }} for braces.",
    "No two open jobs may declare the same output, nor one inside the other.",
  ],
  examples: [
    ["datalad-slurm schedule -o results sbatch job.sh", "submit job.sh, which writes results/"],
    [
      "datalad-slurm schedule --batch sweep.csv -o 'out/{name}' sbatch job.sh '{name}' '{rate}'",
      "one job for each line of a table with the columns name and rate",
    ],
    ["datalad-slurm schedule -i data.csv -o out sbatch --array=1-9 job.sh", "an array of tasks"],
  ],
  operands: "command",
  options: [
    DATASET,
    {
      name: "input",
      short: "i",
      value: "PATH",
      repeatable: true,
      help: "A file or directory that the job reads",
    },
    {
      name: "output",
      short: "o",
      value: "PATH",
      repeatable: true,
      help: "A file or directory that the job writes; at least one is needed",
    },
    MESSAGE,
    {
      name: "expand",
      value: "inputs|outputs|both",
      choices: ["inputs", "outputs", "both"],
      help: "Record what globs stand for now, instead of the globs",
    },
    {
      name: "dry-run",
      value: "basic|command",
      optionalValue: true,
      choices: ["basic", "command"],
      isOurs: true,
      help: "Check everything, show what would be submitted (with `command`, only the command " +
        "line), and submit nothing",
    },
    {
      name: "batch",
      value: "FILE|-",
      help: "Submit the jobs of a file (- is stdin): one JSON object a line, with `command`, " +
        "`outputs`, `inputs` and `message`; or comma-separated values with a header, where {name} " +
        "in COMMAND, -o, -i and -m stands for the column of that name. Jobs that are recorded " +
        "already are passed over, so a batch can be interrupted and called again",
    },
    {
      name: "parallel",
      short: "j",
      value: "N",
      help: "With --batch: how many submissions run at the same time; 4 when absent",
    },
    {
      name: "wait-for-outputs",
      isOurs: true,
      help: "Wait until no open job holds the outputs any more, instead of refusing",
    },
    ...AUTO_FINISH,
    ALT_DIR,
    ASSUME_READY,
    TRANSFERS,
    SLURM,
    LOCK_TIMEOUT,
  ],
  async run(words, terminal) {
    if (words.has("batch")) {
      const { runBatch } = await import("./batch.ts");
      return await runBatch(words, terminal);
    }
    const options = scheduleOptions(words);
    const patience = patienceOf("schedule", words, terminal);
    if (words.has("dry-run")) {
      const { dataset, request } = await planSchedule(options, patience);
      if (!terminal.json && words.last("dry-run") === "command") {
        terminal.result(request.command);
        return EXIT.done;
      }
      const { differs } = await pinFiles(
        dataset.root,
        pathsToPin(dataset.root, request.record, request.scripts),
      );
      if (terminal.json) {
        terminal.record({
          ...plannedRecord("schedule", dataset.root, request),
          ...(Object.keys(differs).length === 0 ? {} : { differs }),
        });
        return EXIT.done;
      }
      terminal.result(`Would run in ${harmless(JSON.stringify(request.record.pwd))}:`);
      terminal.result(`  ${harmless(request.command)}`);
      terminal.result(`Outputs: ${request.record.outputs.map(harmless).join(", ")}`);
      if (request.record.inputs.length > 0) {
        terminal.result(`Inputs: ${request.record.inputs.map(harmless).join(", ")}`);
      }
      const different = Object.entries(differs);
      if (different.length > 0) terminal.result("Not as they are committed:");
      for (const [path, difference] of different) {
        terminal.result(`  ${harmless(path)} (${difference})`);
      }
      return EXIT.done;
    }
    return showSubmitted(terminal, "schedule", await schedule(options, patience));
  },
};

/** Returns what the words of a command line ask of `schedule`. */
export function scheduleOptions(words: ParsedArguments): ScheduleOptions {
  return {
    dataset: words.last("dataset"),
    inputs: words.all("input"),
    outputs: words.all("output"),
    message: words.last("message"),
    preparation: preparationOf(words),
    altDir: words.last("alt-dir"),
    autoFinish: autoFinishOf(words),
    waitForOutputs: words.has("wait-for-outputs"),
    expand: words.last("expand") as ScheduleOptions["expand"],
    command: words.operands,
  };
}
