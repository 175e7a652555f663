import type { PassedOver } from "../commands/passed_over.ts";
import {
  type PlannedReschedule,
  planReschedule,
  reschedule,
  type RescheduleOptions,
  rescheduleScript,
} from "../commands/reschedule.ts";
import { ToolError } from "../errors.ts";
import { absolutePath } from "../paths.ts";
import { harmless } from "../record/show.ts";
import { jobName } from "../record/subject.ts";
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
  SINCE,
  SLURM,
  TRANSFERS,
} from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import { plannedRecord, showSubmitted } from "./submitted.ts";
import type { Terminal } from "./terminal.ts";

export const rescheduleCommand: Command = {
  name: "reschedule",
  aliases: ["slurm-reschedule"],
  summary: "Submit a recorded job once more",
  usage: "[COMMIT|JOBID]",
  description: [
    "Runs the recorded command of a job again, from the recorded directory, after making its " +
    "earlier outputs writable, and records the new job with the commits it descends from.",
    "COMMIT is a schedule, reschedule or finish commit; JOBID stands for the job's own. The job " +
    "must be finished. The command is shown before it runs: a record may come from somebody else.",
    "A job of the local stand-in goes there again on the same machine, unless --slurm, " +
    "DATALAD_SLURM or the configuration says otherwise.",
    "--since takes each job once: not those that are open, nor those that another job is in the " +
    "place of already, of jobs with the same outputs the newest. Exit code 8 says that some are " +
    "open, 1 that some are refused; these do not keep the others back.",
  ],
  examples: [
    ["datalad-slurm reschedule HEAD", "run the job that the last commit finished once more"],
    ["datalad-slurm reschedule --report --since HEAD~10", "show what would be submitted"],
    ["datalad-slurm reschedule --failed-tasks HEAD", "run the failed tasks of an array once more"],
  ],
  operands: "any",
  options: [
    DATASET,
    SINCE,
    MESSAGE,
    { name: "with-failed-jobs", help: "With --since: also the jobs that failed" },
    {
      name: "failed-tasks",
      help: "Of an array only the tasks that did not complete: --array of its sbatch command is " +
        "changed. With --since: the arrays that have such tasks",
    },
    {
      name: "onto",
      value: "COMMIT",
      help: "Check out this commit first, and submit the jobs from there",
    },
    {
      name: "branch",
      short: "b",
      value: "NAME",
      help: "Make this branch and check it out first",
    },
    {
      name: "script",
      value: "FILE|-",
      help: "Write a shell script of the commands instead, and submit nothing",
    },
    { name: "report", help: "Show what would be submitted, and submit nothing" },
    ...AUTO_FINISH,
    ALT_DIR,
    ASSUME_READY,
    TRANSFERS,
    SLURM,
    LOCK_TIMEOUT,
  ],
  async run(words, terminal) {
    const options = rescheduleOptions(words);
    const patience = patienceOf("reschedule", words, terminal);
    if (words.has("report")) {
      const { dataset, planned, passedOver } = await planReschedule(options, patience);
      for (const plan of planned) {
        if (terminal.json) {
          terminal.record(plannedRecord("reschedule", dataset.root, plan.request, plan.job));
        } else {
          terminal.result(describe(plan).join("\n"));
        }
      }
      return showPassedOver(terminal, dataset.root, passedOver);
    }
    const script = words.last("script");
    if (script !== undefined) {
      const { dataset, planned, passedOver } = await planReschedule(options, patience);
      const text = rescheduleScript(planned);
      if (script !== "-") writeScript(script, text);
      if (terminal.json) {
        terminal.record({
          action: "reschedule",
          status: "ok",
          ...(script === "-" ? {} : { type: "file", path: absolutePath(script, Deno.cwd()) }),
          refds: dataset.root,
          script: text,
        });
      } else if (script === "-") {
        terminal.result(text.trimEnd());
      }
      return showPassedOver(terminal, dataset.root, passedOver);
    }
    let code: number = EXIT.done;
    const { dataset, planned, passedOver } = await reschedule(options, patience, {
      before: (plan) => terminal.say(describe(plan).join("\n")),
      after({ job, submitted }) {
        code = Math.max(code, showSubmitted(terminal, "reschedule", submitted, job));
      },
    });
    if (planned.length === 0) terminal.say("No job is to be submitted once more");
    return Math.max(code, showPassedOver(terminal, dataset.root, passedOver));
  },
};

/** Returns what the words of a command line ask of `reschedule`. */
export function rescheduleOptions(words: ParsedArguments): RescheduleOptions {
  const [commit, ...others] = words.operands;
  if (others.length > 0 || commit !== undefined && words.has("since")) {
    throw new ToolError("usage", "reschedule takes one commit or job id, or --since", {
      hint: "Such as: reschedule HEAD; reschedule 9163380; reschedule --since HEAD~10",
    });
  }
  return {
    dataset: words.last("dataset"),
    commit,
    since: words.last("since"),
    message: words.last("message"),
    withFailedJobs: words.has("with-failed-jobs"),
    failedTasks: words.has("failed-tasks"),
    onto: words.last("onto"),
    branch: words.last("branch"),
    preparation: preparationOf(words),
    altDir: words.last("alt-dir"),
    autoFinish: autoFinishOf(words),
  };
}

/** A recorded dependency is on jobs by their ids of then: on none that is submitted again. */
function dependencyNote(command: string): string[] {
  const [, jobs] = /(?:^|\s)(?:--dependency[= ]|-d ?)["']?([a-z]+:\d[\w:+,?]*)/.exec(command) ?? [];
  return jobs === undefined ? [] : [
    `  It depends on jobs of then (${harmless(jobs)}), and not on those that repeat them`,
  ];
}

function describe({ job, request, leaves }: PlannedReschedule): string[] {
  return [
    `Job ${jobName(job.jobId, request.failedTasks)} (${job.commit.slice(0, 10)}) again, in ${
      harmless(JSON.stringify(request.record.pwd))
    }:`,
    `  ${harmless(request.command)}`,
    `  Outputs: ${request.record.outputs.map(harmless).join(", ")}`,
    ...(leaves === undefined ? [] : [
      `  It ran on ${
        harmless(leaves)
      }, a local stand-in; now it goes to Slurm (--slurm local: to ` +
      "the stand-in on this machine)",
    ]),
    ...dependencyNote(request.command),
  ];
}

/** Tells of jobs that are not submitted, and returns the exit code. */
function showPassedOver(
  terminal: Terminal,
  root: string,
  passedOver: readonly PassedOver[],
): number {
  for (const { job, why, reason, hint, details } of passedOver) {
    if (terminal.json) {
      terminal.record({
        action: "reschedule",
        status: why === "replaced" ? "notneeded" : "impossible",
        ...aboutDataset(root),
        message: reason,
        original_slurm_job_id: job.jobId,
        original_commit: job.commit,
      });
    } else if (why === "refused") {
      terminal.error(
        harmless(reason),
        details?.split("\n").map(harmless),
        hint && harmless(hint),
      );
    } else {
      terminal.say(`Note: ${harmless(reason)}`);
      if (hint !== undefined) terminal.hint(hint);
    }
  }
  const has = (wanted: PassedOver["why"]) => passedOver.some(({ why }) => why === wanted);
  return has("refused") ? EXIT.refused : has("open") ? EXIT.pending : EXIT.done;
}

function writeScript(path: string, text: string): void {
  try {
    // A script that is there already is somebody's.
    Deno.writeTextFileSync(path, text, { createNew: true, mode: 0o755 });
  } catch (cause) {
    throw new ToolError("refused", `The script ${JSON.stringify(path)} cannot be written`, {
      hint: "Name a file that does not exist yet, in a directory that can be written to",
      cause,
    });
  }
}
