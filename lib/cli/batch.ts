import {
  type BatchOptions,
  type BatchOutcome,
  planBatch,
  scheduleBatch,
} from "../commands/batch.ts";
import { pathsToPin, pinFiles, pinWarnings } from "../commands/pin_files.ts";
import type { SubmittedJob } from "../commands/submission.ts";
import { ToolError } from "../errors.ts";
import { harmless } from "../record/show.ts";
import type { ParsedArguments } from "./arguments.ts";
import { autoFinishOf, patienceOf, preparationOf } from "./command.ts";
import { EXIT, showError } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { OutputRecord } from "./json/records.ts";
import { finisherProblem, plannedRecord, submittedRecord } from "./submitted.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `schedule --batch` and returns the exit code. */
export async function runBatch(words: ParsedArguments, terminal: Terminal): Promise<number> {
  const options = batchOptions(words);
  const patience = patienceOf("schedule --batch", words, terminal);
  if (words.has("dry-run")) {
    const { dataset, lines, others } = await planBatch(options, patience);
    for (const { line, request } of lines) {
      if (terminal.json) {
        terminal.record({ ...plannedRecord("schedule", dataset.root, request), line });
      } else if (words.last("dry-run") === "command") terminal.result(request.command);
      else terminal.result(`Line ${line}: ${harmless(request.command)}`);
    }
    const requests = lines.map(({ request }) => request);
    const paths = requests.flatMap(({ record, scripts }) =>
      pathsToPin(dataset.root, record, scripts)
    );
    const pins = await pinFiles(dataset.root, [...new Set(paths)]);
    for (const warning of pinWarnings(dataset.root, requests, paths, pins)) {
      terminal.warn(harmless(warning));
    }
    terminal.say(`Would submit ${jobs(lines.length)}; ${others.length} need nothing`);
    return EXIT.done;
  }
  const counts = { submitted: 0, before: 0 };
  const jobIds: string[] = [];
  const finisherIds: string[] = [];
  const unfinished: SubmittedJob[] = [];
  // What was said of one line is not said again of the others: they often share script and inputs.
  const said = new Set<string>();
  let code: number = EXIT.done;
  const { left, error } = await scheduleBatch(options, patience, (outcome, root) => {
    if (outcome.outcome === "submitted") {
      counts.submitted++;
      const { jobId, finisher, warnings } = outcome.job;
      jobIds.push(jobId);
      for (const warning of warnings.filter((text) => !said.has(text))) {
        said.add(warning);
        terminal.warn(`Line ${outcome.line}: ${harmless(warning)}`);
      }
      if (finisher !== undefined && "jobId" in finisher) finisherIds.push(finisher.jobId);
      else if (finisher !== undefined) unfinished.push(outcome.job);
    } else if (outcome.outcome === "recorded before") counts.before++;
    if ("error" in outcome) {
      code = Math.max(code, showFailure(terminal, outcome, said));
    } else if (terminal.json) {
      terminal.record(asRecord(outcome, root));
    }
  });
  if (!terminal.json) {
    terminal.result(summary(counts, jobIds));
    if (finisherIds.length > 0) {
      const them = jobIds.length === 1 ? "it" : "them";
      const plural = finisherIds.length === 1 ? "Job" : "Jobs";
      terminal.result(`${plural} ${rangeOf(finisherIds)} will finish ${them}`);
    }
  }
  const [first] = unfinished;
  if (first !== undefined) {
    terminal.warn(
      `${jobs(unfinished.length)} without a finishing job, such as job ${first.jobId}: ` +
        harmless(finisherProblem(first) ?? ""),
    );
    terminal.hint("When they are over: datalad-slurm finish");
  }
  if (left > 0) {
    terminal.say(`${jobs(left)} of the batch ${left === 1 ? "is" : "are"} not submitted`);
    const first = code === EXIT.done ? "Call" : "Put right what is said above, and call";
    terminal.hint(`${first} the same command again: it goes on with what is not submitted`);
  }
  // Only now: what was submitted before must not stay unsaid.
  if (error !== undefined) throw error;
  return code;
}

function jobs(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}

function summary(counts: { submitted: number; before: number }, ids: readonly string[]): string {
  const before = counts.before === 0 ? "" : `; ${jobs(counts.before)} recorded before`;
  if (counts.submitted === 0) return `Submitted no job${before}`;
  return `Submitted and recorded ${jobs(counts.submitted)} (${rangeOf(ids)})${before}`;
}

function rangeOf(ids: readonly string[]): string {
  const sorted = [...ids].sort((a, b) => Number(a) - Number(b));
  const [first, last] = [sorted[0] ?? "", sorted.at(-1) ?? ""];
  return first === last ? first : `${first} to ${last}`;
}

/** Shows why a line was not submitted; of one like another before it people see the message alone. */
function showFailure(
  terminal: Terminal,
  { line, outcome, error }: Extract<BatchOutcome, { error: unknown }>,
  said: Set<string>,
): number {
  // A bug ends the command, as everywhere else.
  if (!(error instanceof ToolError)) throw error;
  const { kind, message } = error;
  const isKnown = said.has(message) && !terminal.json;
  said.add(message);
  const shown = isKnown ? new ToolError(kind, `${message}, as above`) : error;
  return showError(terminal, "schedule", shown, { line, outcome });
}

function asRecord(
  outcome: Exclude<BatchOutcome, { error: unknown }>,
  root: string,
): OutputRecord {
  const { line } = outcome;
  return outcome.outcome === "submitted" ? { ...submittedRecord("schedule", outcome.job), line } : {
    action: "schedule",
    status: "notneeded",
    ...aboutDataset(root),
    line,
    slurm_job_id: outcome.jobId,
    commit: outcome.commit,
  };
}

/** Returns what the words of a command line ask of a batch. */
export function batchOptions(words: ParsedArguments): BatchOptions {
  if (words.has("wait-for-outputs")) {
    throw new ToolError("usage", "--wait-for-outputs does not go with --batch", {
      hint: "Outputs of a batch must be free: finish the jobs that hold them first",
    });
  }
  const parallel = words.last("parallel") ?? "4";
  if (!/^[1-9]\d?$/.test(parallel)) {
    throw new ToolError(
      "usage",
      `--parallel takes a number from 1 to 99, not ${JSON.stringify(parallel)}`,
    );
  }
  return {
    dataset: words.last("dataset"),
    content: readBatch(words.last("batch") ?? "-"),
    template: {
      command: words.operands,
      inputs: words.all("input"),
      outputs: words.all("output"),
      message: words.last("message"),
    },
    parallel: Number(parallel),
    preparation: preparationOf(words),
    altDir: words.last("alt-dir"),
    autoFinish: autoFinishOf(words),
    waitForOutputs: false,
    expand: words.last("expand") as BatchOptions["expand"],
  };
}

function readBatch(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(
      path === "-" ? readStdin() : Deno.readFileSync(path),
    );
  } catch (cause) {
    const name = path === "-" ? "stdin" : JSON.stringify(path);
    if (cause instanceof TypeError) {
      throw new ToolError("refused", `The batch ${name} is not valid UTF-8`, {
        hint: "Records are UTF-8 text: convert the file, for instance with iconv",
      });
    }
    throw new ToolError("refused", `The batch ${name} cannot be read`, {
      hint: "Name a file with one job a line, or - for stdin",
      cause,
    });
  }
}

function readStdin(): Uint8Array {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  for (let read = Deno.stdin.readSync(buffer); read !== null; read = Deno.stdin.readSync(buffer)) {
    chunks.push(buffer.slice(0, read));
  }
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
