import type { Dataset } from "../dataset/dataset.ts";
import { decodeCommit } from "../dataset/history.ts";
import { ToolError } from "../errors.ts";
import { recordedCommits } from "../git/log.ts";
import { parentPath } from "../paths.ts";
import { interruption, uninterrupted } from "../process/interruption.ts";
import { type BatchFault, parseBatch } from "../record/batch_lines.ts";
import { type BatchJob, type BatchTemplate, fillTemplate } from "../record/batch_template.ts";
import { listEntries, readEntry } from "../store/journal.ts";
import { findHolder } from "../store/reservations.ts";
import { conflictError } from "./conflicts.ts";
import { endlessly, type LockPatience } from "./locked.ts";
import { pathsToPin, pinFiles } from "./pin_files.ts";
import { installNeeded, missingInputs, missingInWords, prepareInputs } from "./prepare_inputs.ts";
import { type RecordedSubmission, recordSubmissions } from "./record_submission.ts";
import { reservedPaths } from "./reserved_paths.ts";
import {
  checkAutoFinish,
  type JobOptions,
  openForSubmission,
  planRecord,
  planRequest,
} from "./schedule.ts";
import {
  type Accepted,
  begin,
  type BegunSubmission,
  discard,
  finishersOf,
  isSettled,
  prepare,
  runSubmission,
  type SubmittedJob,
  submittedJob,
} from "./submission.ts";
import type { RecordTemplate, SubmissionRequest } from "./submission_request.ts";
import { type CommandRunner, startRunner } from "./submitting_command.ts";

/** What `schedule --batch` is asked to do. */
export interface BatchOptions extends Omit<JobOptions, "inputs" | "outputs" | "command"> {
  readonly dataset?: string | undefined;
  /** The content of the batch file. */
  readonly content: string;
  readonly template: BatchTemplate;
  /** How many submitting commands run at the same time. */
  readonly parallel: number;
}

/** What became of one line. */
export type BatchOutcome =
  & { readonly line: number }
  & (
    | { readonly outcome: "submitted"; readonly job: SubmittedJob }
    | { readonly outcome: "recorded before"; readonly jobId: string; readonly commit: string }
    | { readonly outcome: "failed" | "in doubt"; readonly error: unknown }
  );

/** How a batch has ended. */
export interface BatchEnd {
  /** How many jobs are still to be submitted. */
  readonly left: number;
  /** What kept it from going on, where that is no matter of one line. */
  readonly error?: unknown;
}

/** A job that is to be submitted. */
export interface PlannedLine {
  readonly line: number;
  readonly request: SubmissionRequest;
}

/** What a batch would do. */
export interface BatchPlan {
  readonly dataset: Dataset;
  readonly lines: readonly PlannedLine[];
  /** Lines that need nothing, or nothing now. */
  readonly others: readonly BatchOutcome[];
}

/** So many jobs are begun and recorded at a time. */
const CHUNK = 100;

/** An error does not list more lines than these. */
const MOST_FAULTS = 50;

/**
 * Submits the jobs of a batch and records them; `tell` is told what becomes of each line. Everything
 * is checked before anything is submitted. The first submission that fails ends the batch, and so
 * does a signal: what is submitted by then is recorded, and the same batch goes on with the rest.
 */
export async function scheduleBatch(
  options: BatchOptions,
  patience: LockPatience,
  tell: (outcome: BatchOutcome, root: string) => void,
): Promise<BatchEnd> {
  let plan = await planBatch(options, patience);
  const [first] = plan.lines;
  if (first !== undefined && await installNeeded(plan.dataset, unionOf(first.request, plan))) {
    plan = await planBatch(options, patience);
  }
  const preparation = await prepareAllInputs(plan, options, patience);
  const { root } = plan.dataset;
  for (const outcome of plan.others) tell(outcome, root);
  const progress = patience.begin?.("Submitting jobs");
  const { lines } = plan;
  let done = 0;
  for (let start = 0; start < lines.length; start += CHUNK) {
    if (interruption.aborted) break;
    let outcomes: BatchOutcome[];
    try {
      outcomes = await submitSome(plan.dataset, lines.slice(start, start + CHUNK), {
        ...options,
        preparation,
        patience,
        onDone() {
          done++;
          progress?.(done, lines.length);
        },
      });
    } catch (error) {
      if (start === 0) throw error;
      return { left: lines.length - done, error };
    }
    for (const outcome of outcomes) tell(outcome, root);
    if (done < Math.min(start + CHUNK, lines.length)) break;
  }
  return { left: lines.length - done };
}

/** Returns what would be submitted. Throws a {@link ToolError} that lists all that is wrong. */
export async function planBatch(
  options: BatchOptions,
  patience: LockPatience,
): Promise<BatchPlan> {
  const dataset = await openForSubmission(options.dataset, patience);
  await checkAutoFinish(dataset, options.autoFinish);
  const { jobs, faults } = readJobs(dataset, options);
  const planned: { job: BatchJob; record: RecordTemplate; id: string }[] = [];
  for (const job of jobs) {
    try {
      const record = planRecord(dataset, { ...options, ...job });
      planned.push({ job, record, id: await identityOf(record, job.message) });
    } catch (error) {
      faults.push(faultOf(job.line, error));
    }
  }
  const recorded = await recordedLines(dataset);
  const inDoubt = linesInJournal(dataset);
  const lines: PlannedLine[] = [];
  const others: BatchOutcome[] = [];
  const paths = new OwnPaths();
  for (const { job, record, id } of planned) {
    const { line } = job;
    const before = recorded.get(id);
    try {
      paths.add(line, reservedPaths(record.outputs));
      if (before !== undefined) {
        others.push({ line, outcome: "recorded before", ...before });
      } else if (inDoubt.has(id)) {
        others.push({ line, outcome: "in doubt", error: leftInDoubt() });
      } else {
        for (const path of reservedPaths(record.outputs)) {
          const conflict = findHolder(dataset.store.reservations, path);
          if (conflict !== undefined) throw await conflictError(dataset, conflict);
        }
        // Placeholders are filled in for jobs that are submitted only: {tmpdir} makes a directory.
        const request = planRequest(dataset, record, { ...options, ...job });
        lines.push({ line, request: { ...request, batch: id } });
      }
    } catch (error) {
      faults.push(faultOf(line, error));
    }
  }
  faults.push(...await missingOf(dataset, lines, options.preparation));
  refuseFaults(faults);
  return { dataset, lines, others };
}

/** Reads the batch and fills in what its lines say. */
function readJobs(
  { configuration }: Dataset,
  { content, template }: BatchOptions,
): { jobs: BatchJob[]; faults: BatchFault[] } {
  const parsed = parseBatch(content);
  const faults = [...parsed.faults];
  const jobs: BatchJob[] = [];
  const prefix = "datalad.run.substitutions.";
  const reserved = new Set([
    ...["pwd", "dspath", "tmpdir", "inputs", "outputs"],
    ...configuration.entries(prefix).map(([key]) => key.slice(prefix.length)),
  ]);
  for (const line of parsed.lines) {
    const taken = [...line.values.keys()].find((name) => reserved.has(name));
    try {
      if (taken !== undefined) {
        throw new ToolError(
          "refused",
          `"${taken}" is the name of a placeholder of datalad run: give the value another name`,
        );
      }
      jobs.push(fillTemplate(template, line));
    } catch (error) {
      faults.push(faultOf(line.line, error));
    }
  }
  if (parsed.lines.length === 0 && faults.length === 0) {
    throw new ToolError("refused", "The batch has no jobs", {
      hint:
        'Write one JSON object a line, such as {"outputs": "out/a", "command": "sbatch a.sh"}, ' +
        "or comma-separated values below a header",
    });
  }
  return { jobs, faults };
}

function faultOf(line: number, error: unknown): BatchFault {
  if (!(error instanceof ToolError)) throw error;
  return { line, message: error.message };
}

function refuseFaults(faults: readonly BatchFault[]): void {
  if (faults.length === 0) return;
  const sorted = [...faults].sort((a, b) => a.line - b.line);
  // What is wrong with many lines in the same way is said once.
  const groups = [...Map.groupBy(sorted, ({ message }) => message)];
  const shown = groups.slice(0, MOST_FAULTS).map(([message, [first, ...others]]) => {
    const like = others.length === 0 ? "" : ` and ${others.length} more`;
    return `Line ${first?.line}${like}: ${message}`;
  });
  const more = groups.length - shown.length;
  throw new ToolError(
    "refused",
    sorted.length === 1
      ? "One line of the batch is wrong"
      : `${sorted.length} lines of the batch are wrong`,
    {
      hint: "Nothing was submitted; put the batch right and call again",
      details: [...shown, ...(more > 0 ? [`… and ${more} more`] : [])].join("\n"),
    },
  );
}

/** The outputs of the lines before: no two jobs of a batch may share one. */
class OwnPaths {
  readonly #owners = new Map<string, number>();
  /** Directories above outputs, with one line that has an output there. */
  readonly #above = new Map<string, number>();

  add(line: number, paths: readonly string[]): void {
    for (const path of paths) {
      const other = this.#find(path);
      if (other !== undefined) {
        throw new ToolError(
          "refused",
          `The output ${JSON.stringify(path)} is also that of line ${other}, or one lies inside ` +
            "the other",
        );
      }
    }
    for (const path of paths) {
      this.#owners.set(path, line);
      for (let at = path; at !== "."; at = parentPath(at)) {
        this.#above.set(parentPath(at), line);
      }
    }
  }

  #find(path: string): number | undefined {
    for (let at = path;; at = parentPath(at)) {
      const owner = this.#owners.get(at);
      if (owner !== undefined) return owner;
      if (at === ".") break;
    }
    return this.#above.get(path);
  }
}

/** Returns what a line is known by: the same job again is not submitted again. */
async function identityOf(
  { cmd, pwd, inputs, outputs, alt_dir }: RecordTemplate,
  message: string | undefined,
): Promise<string> {
  const content = JSON.stringify([cmd, pwd, inputs, outputs, alt_dir ?? null, message ?? null]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(content));
  return new Uint8Array(hash).subarray(0, 16).toHex();
}

/** Returns the lines of batches that history has records of. */
async function recordedLines(
  dataset: Dataset,
): Promise<Map<string, { jobId: string; commit: string }>> {
  const recorded = new Map<string, { jobId: string; commit: string }>();
  const commits = await recordedCommits(dataset.root, dataset.head);
  for (const { commit, message } of commits) {
    if (!message.includes('"batch": "')) continue;
    const job = await decodeCommit(dataset, commit, message);
    const id = job?.record.datalad_slurm?.batch;
    if (job === undefined || job.kind === "finish" || id === undefined) continue;
    recorded.set(id, { jobId: job.jobId, commit });
  }
  return recorded;
}

/** Returns the lines of batches whose submission is in doubt, or under way in another process. */
function linesInJournal({ store: { journal } }: Dataset): Set<string> {
  return new Set(
    listEntries(journal).flatMap((token) => {
      const entry = readEntry(journal, token);
      if (entry?.kind !== "submission") return [];
      const { batch } = entry.record["datalad_slurm"] as { batch?: string };
      return batch === undefined ? [] : [batch];
    }),
  );
}

function leftInDoubt(): ToolError {
  return new ToolError("refused", "Another command is submitting this job, or has been cut short", {
    hint: "See what is known with: datalad-slurm recover",
  });
}

/** Returns one request with the inputs and outputs of all. */
function unionOf(first: SubmissionRequest, { lines }: BatchPlan): SubmissionRequest {
  const all = (of: (record: RecordTemplate) => readonly string[]) => [
    ...new Set(lines.flatMap(({ request }) => of(request.record))),
  ];
  return {
    ...first,
    record: {
      ...first.record,
      inputs: all(({ inputs }) => inputs),
      outputs: all(({ outputs }) => outputs),
    },
  };
}

/** Returns what is wrong with lines of which an input does not exist. */
async function missingOf(
  { root }: Dataset,
  lines: readonly PlannedLine[],
  { assumeReady }: BatchOptions["preparation"],
): Promise<BatchFault[]> {
  if (assumeReady === "inputs" || assumeReady === "both") return [];
  const missing = await missingInputs(
    root,
    lines.flatMap(({ request: { record: { inputs } } }) => inputs),
  );
  return lines.flatMap(({ line, request: { record: { inputs } } }) =>
    inputs.filter((input) => missing.has(input))
      .map((input) => ({ line, message: missingInWords(input) }))
  );
}

/** Makes the inputs of all lines ready and returns what is still to be prepared of each. */
async function prepareAllInputs(
  { dataset, lines }: BatchPlan,
  { preparation }: BatchOptions,
  patience: LockPatience,
): Promise<BatchOptions["preparation"]> {
  const { assumeReady, transfers = dataset.settings.transfers } = preparation;
  if (assumeReady === "inputs" || assumeReady === "both") return preparation;
  const inputs = lines.flatMap(({ request: { record } }) => record.inputs);
  await prepareInputs(dataset, [...new Set(inputs)], transfers, patience);
  return { ...preparation, assumeReady: assumeReady === "outputs" ? "both" : "inputs" };
}

interface Submitting extends Pick<BatchOptions, "preparation" | "parallel"> {
  readonly patience: LockPatience;
  readonly onDone: () => void;
}

/** Submits and records some jobs, at least those before the first that fails. */
async function submitSome(
  dataset: Dataset,
  lines: readonly PlannedLine[],
  { preparation, parallel, patience, onDone }: Submitting,
): Promise<BatchOutcome[]> {
  const { begun, conflict } = await begin(dataset, lines.map(({ request }) => request), patience);
  const lineOf = new Map(begun.map(({ entry }, index) => [entry.token, lines[index]?.line ?? 0]));
  const outcomes: BatchOutcome[] = [];
  try {
    await prepare(dataset, begun, preparation, patience);
  } catch (error) {
    await discard(dataset, begun, patience);
    throw error;
  }
  await pinAll(dataset, begun);
  const accepted: Accepted[] = [];
  const unsubmitted: BegunSubmission[] = [];
  const queue = [...begun];
  let hasFailed = false;
  const work = async (runner: CommandRunner) => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (hasFailed || interruption.aborted) {
        unsubmitted.push(next);
        continue;
      }
      try {
        accepted.push(await runSubmission(dataset, next, runner));
        onDone();
      } catch (error) {
        hasFailed = true;
        const settled = isSettled(dataset, next, error);
        if (settled) unsubmitted.push(next);
        const line = lineOf.get(next.entry.token) ?? 0;
        outcomes.push({ line, outcome: settled ? "failed" : "in doubt", error });
      }
    }
  };
  const runners = Array.from(
    { length: Math.min(parallel, begun.length) },
    () => startRunner(dataset.store.journal),
  );
  await Promise.all(runners.map(async (runner) => {
    await work(runner);
    await runner.end();
  }));
  await discard(dataset, unsubmitted, patience);
  const order = new Map(begun.map(({ entry }, index) => [entry.token, index]));
  accepted.sort((a, b) => (order.get(a.entry.token) ?? 0) - (order.get(b.entry.token) ?? 0));
  const records = accepted.length === 0
    ? new Map<string, RecordedSubmission>()
    : await uninterrupted(() => recordSubmissions(dataset, accepted, endlessly(patience)));
  const finishers = await finishersOf(dataset, accepted, begun, parallel);
  for (const [index, one] of accepted.entries()) {
    const { token } = one.entry;
    const submitted = await submittedJob(dataset, one, records.get(token));
    const job = { ...submitted, finisher: finishers[index] };
    outcomes.push({ line: lineOf.get(token) ?? 0, outcome: "submitted", job });
  }
  if (conflict !== undefined) {
    const line = lines[begun.length]?.line ?? 0;
    outcomes.push({ line, outcome: "failed", error: await conflictError(dataset, conflict) });
  }
  return outcomes.sort((a, b) => a.line - b.line);
}

/** Has git look at scripts and inputs of all jobs at once; each finds its own known then. */
async function pinAll({ root }: Dataset, begun: readonly BegunSubmission[]): Promise<void> {
  const paths = begun.flatMap(({ request: { record, scripts } }) =>
    pathsToPin(root, record, scripts)
  );
  try {
    await pinFiles(root, [...new Set(paths)]);
  } catch {
    // A file may have vanished meanwhile: each job finds that itself, and tells of it.
  }
}
