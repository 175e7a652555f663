import {
  type PlannedReschedule,
  planReschedule,
  reschedule,
  type RescheduleOptions,
} from "../commands/reschedule.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import {
  ALT_DIR,
  ASSUME_READY,
  type Command,
  DATASET,
  JSON_OUTPUT,
  LOCK_TIMEOUT,
  MESSAGE,
  patienceOf,
  preparationOf,
  SINCE,
  TRANSFERS,
} from "./command.ts";
import { EXIT } from "./exit.ts";
import { showSubmitted } from "./schedule.ts";

export const rescheduleCommand: Command = {
  name: "reschedule",
  aliases: ["slurm-reschedule"],
  summary: "Submit a recorded job once more",
  usage: "[COMMIT]",
  description: [
    "Runs the recorded command of a job again, from the recorded directory, after making its " +
    "earlier outputs writable, and records the new job with the commits it descends from.",
    "COMMIT is a schedule, reschedule or finish commit. The job must be finished. The command " +
    "is shown before it runs: a record may come from somebody else.",
  ],
  examples: [
    ["datalad-slurm reschedule HEAD", "run the job that the last commit finished once more"],
    ["datalad-slurm reschedule --report --since HEAD~10", "show what would be submitted"],
  ],
  operands: "any",
  options: [
    DATASET,
    SINCE,
    MESSAGE,
    { name: "report", help: "Show what would be submitted, and submit nothing" },
    ALT_DIR,
    ASSUME_READY,
    TRANSFERS,
    LOCK_TIMEOUT,
    JSON_OUTPUT,
  ],
  async run(words, terminal) {
    const options = rescheduleOptions(words);
    const patience = patienceOf("reschedule", words, terminal);
    if (words.has("report")) {
      const { planned } = await planReschedule(options, patience);
      for (const plan of planned) for (const line of describe(plan)) terminal.result(line);
      return EXIT.done;
    }
    const done = await reschedule(options, patience, (plan) => {
      for (const line of describe(plan)) terminal.say(line);
    });
    for (const { submitted } of done) {
      showSubmitted(terminal, "reschedule", submitted, words.has("json"));
    }
    if (done.length === 0) terminal.say("No job was submitted after that commit");
    return EXIT.done;
  },
};

/** Returns what the words of a command line ask of `reschedule`. */
export function rescheduleOptions(words: ParsedArguments): RescheduleOptions {
  const [commit, ...others] = words.operands;
  if (others.length > 0 || commit !== undefined && words.has("since")) {
    throw new ToolError("usage", "reschedule takes one commit, or --since", {
      hint: "Such as: reschedule HEAD; reschedule --since HEAD~10",
    });
  }
  return {
    dataset: words.last("dataset"),
    commit,
    since: words.last("since"),
    message: words.last("message"),
    preparation: preparationOf(words),
    altDir: words.last("alt-dir"),
  };
}

function describe({ job, request }: PlannedReschedule): string[] {
  return [
    `Job ${job.jobId} (${job.commit.slice(0, 10)}) again, in ${
      harmless(JSON.stringify(request.record.pwd))
    }:`,
    `  ${harmless(request.command)}`,
    `  Outputs: ${request.record.outputs.map(harmless).join(", ")}`,
  ];
}
