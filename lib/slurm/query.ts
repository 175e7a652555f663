import { AlikeRows } from "./alike.ts";
import { type Answer, ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { classifyFailure, type Outcome } from "./outcome.ts";
import { isJobId } from "./fields.ts";
import {
  gather,
  type Gathered,
  type JobQuery,
  type JobReport,
  missing,
  needsController,
  report,
  type StateRow,
} from "./report.ts";
import {
  refusedColumn,
  sacctArgv,
  type SacctQuery,
  sacctStateRow,
  STATE_COLUMNS,
} from "./sacct.ts";
import {
  describeManyArgv,
  describeManyInput,
  parseScontrolJobs,
  type ScontrolJob,
} from "./scontrol.ts";
import { SQUEUE_COLUMNS, squeueArgv, squeueStateRow } from "./squeue.ts";
import { classifyState, isOver } from "./states.ts";
import { parseTable, TableReader, type TableRow } from "./table.ts";

/** How Slurm is asked. */
export interface QueryOptions {
  /** The time limit of each program call in milliseconds. */
  readonly timeoutMs?: number;
  /** After so many milliseconds without sacct's answer squeue is asked as well. */
  readonly slowMs?: number;
}

/** How long sacct may take before squeue is asked as well, in milliseconds. */
const SLOW_MS = 5_000;

/** Linux takes at most 128 KiB in one word of argv. */
const LONGEST_LIST = 100_000;

/** For each job scontrol asks slurmctld once, in 2 to 3 ms (22.05): so many it is asked for at most. */
const MOST_SCONTROL_JOBS = 1_000;

/** slurmctld is asked for so many exit codes at most, and waited for so long, in milliseconds. */
const MOST_EXITS = 100;
const EXIT_MS = 3_000;

/** It forgets a job five minutes after its end, unless MinJobAge says otherwise; in seconds. */
const EXIT_KEPT = 600;

/** Returns the key of a job in the answer of {@link queryJobs}: `516`, or `516;cluster`. */
export function jobKey(job: { readonly jobId: string; readonly cluster?: string }): string {
  return job.cluster === undefined ? job.jobId : `${job.jobId};${job.cluster}`;
}

/**
 * Returns a report on every job asked for, by {@link jobKey}. One sacct call asks for all jobs of a
 * cluster, squeue is asked for those that sacct does not call over, and one scontrol for those that
 * squeue does not know or whose exit code is not sure. A program that fails is part of the reason for
 * "unknown", never an exception; two that do not answer are not waited for in turn.
 */
export async function queryJobs(
  jobs: readonly JobQuery[],
  options: QueryOptions = {},
): Promise<Map<string, JobReport>> {
  const reports = new Map<string, JobReport>();
  for (const [cluster, group] of byCluster(jobs)) {
    for (const answer of await queryCluster(group, cluster, options)) {
      reports.set(jobKey(answer), answer);
    }
  }
  return reports;
}

/** Returns jobs by the cluster they were submitted to; undefined stands for the local one. */
export function byCluster<Job extends { readonly cluster?: string }>(
  jobs: readonly Job[],
): Map<string | undefined, Job[]> {
  const groups = new Map<string | undefined, Job[]>();
  for (const job of jobs) {
    const group = groups.get(job.cluster);
    if (group === undefined) groups.set(job.cluster, [job]);
    else group.push(job);
  }
  return groups;
}

/** Returns ids in pieces that fit into one word of argv each. */
export function inPieces(jobIds: readonly string[], longest: number = LONGEST_LIST): string[][] {
  const pieces: string[][] = [];
  let length = Infinity;
  for (const jobId of jobIds) {
    length += jobId.length + 1;
    if (length > longest) {
      pieces.push([]);
      length = jobId.length + 1;
    }
    pieces.at(-1)?.push(jobId);
  }
  return pieces;
}

/** What is known of one job on the way through the programs. */
interface Inquiry {
  readonly query: JobQuery;
  readonly rows: StateRow[];
  /** The parts by these rows, until more of them come. */
  gathered?: Gathered | undefined;
  readonly said: string[];
  controllerAsked: boolean;
}

async function queryCluster(
  jobs: readonly JobQuery[],
  cluster: string | undefined,
  { timeoutMs = QUERY_TIMEOUT_MS, slowMs = SLOW_MS }: QueryOptions,
): Promise<JobReport[]> {
  const inquiries: Inquiry[] = jobs.map((query) => ({
    query,
    rows: [],
    said: isJobId(query.jobId) ? [] : [`${JSON.stringify(query.jobId)} is not a job id`],
    controllerAsked: false,
  }));
  const valid = inquiries.filter(({ query }) => isJobId(query.jobId));
  const open: Inquiry[] = [];
  let speaks = true;
  for (const piece of piecesOf(valid)) {
    const ahead = squeueAhead(piece, cluster, timeoutMs, slowMs);
    const instead = ahead.end(await askSacct(piece, cluster, timeoutMs));
    const unsettled = piece.filter((inquiry) => needsController(gathered(inquiry)));
    if (unsettled.length === 0 || !speaks) continue;
    open.push(...unsettled);
    const answer = await (instead ?? ask(squeueArgv(idsOf(unsettled), cluster), timeoutMs));
    speaks = !isSilent(readSqueue(unsettled, answer));
  }
  if (!speaks) return reportsOf(inquiries);
  const needed = open.filter(wantsScontrol).slice(0, MOST_SCONTROL_JOBS);
  const exits = new Set(valid.filter(mayHideExit).slice(0, MOST_EXITS));
  for (const inquiry of needed) exits.delete(inquiry);
  if (needed.length + exits.size > 0) {
    const patience = needed.length > 0 ? timeoutMs : Math.min(EXIT_MS, timeoutMs);
    await askScontrol([...needed, ...exits], cluster, patience);
  }
  return reportsOf(inquiries);
}

/**
 * Asks squeue where sacct takes long. Its answer counts only in the place of one of sacct's, when
 * that did not come: else it would be the older of the two.
 */
function squeueAhead(
  inquiries: readonly Inquiry[],
  cluster: string | undefined,
  timeoutMs: number,
  slowMs: number,
) {
  const stop = new AbortController();
  let answer: Promise<Answer> | undefined;
  const start = () => {
    answer = ask(squeueArgv(idsOf(inquiries), cluster), timeoutMs, { stop: stop.signal });
  };
  // Not setTimeout: see lib/process/run.ts.
  const slow = AbortSignal.timeout(slowMs);
  slow.addEventListener("abort", start);
  return {
    /** Returns squeue's answer where it is needed, and ends the question otherwise. */
    end(outcome: Outcome): Promise<Answer> | undefined {
      slow.removeEventListener("abort", start);
      if (outcome === "timeout") return answer;
      stop.abort();
      return undefined;
    },
  };
}

/** Whether slurmctld gives no answer: asking it again would only cost another time limit. */
function isSilent(outcome: Outcome): boolean {
  return ["slurmctld-down", "not-configured", "timeout"].includes(outcome);
}

function reportsOf(inquiries: readonly Inquiry[]): JobReport[] {
  return inquiries.map((inquiry) =>
    report(gathered(inquiry), inquiry.controllerAsked, inquiry.said)
  );
}

function gathered(inquiry: Inquiry): Gathered {
  return inquiry.gathered ??= gather(inquiry.query, inquiry.rows);
}

function piecesOf(inquiries: readonly Inquiry[]): Inquiry[][] {
  const byId = Map.groupBy(inquiries, ({ query }) => query.jobId);
  return inPieces([...byId.keys()]).map((ids) => ids.flatMap((id) => byId.get(id) ?? []));
}

async function askSacct(
  inquiries: readonly Inquiry[],
  cluster: string | undefined,
  timeoutMs: number,
): Promise<Outcome> {
  const { answer, taker } = await readSacct(
    {
      jobIds: idsOf(inquiries),
      columns: STATE_COLUMNS,
      earlierRuns: true,
      ...(cluster === undefined ? {} : { cluster }),
    },
    timeoutMs,
    () => {
      const delivery = new Delivery(inquiries);
      return { delivery, add: (row) => delivery.add(sacctStateRow(row)) };
    },
  );
  taker.delivery.end(answer);
  return answer.outcome;
}

/**
 * Asks sacct for a table, leaving out columns that this version of it does not know. Each time it is
 * asked, `begin` makes what takes the rows as they come; of an answer that fails they are void.
 * Returns the last answer and what has taken its rows.
 */
export async function readSacct<Taker extends { add(row: TableRow): void }>(
  query: SacctQuery,
  timeoutMs: number,
  begin: () => Taker,
): Promise<{ answer: Answer; taker: Taker }> {
  const taker = begin();
  const reader = new TableReader(query.columns, (row) => taker.add(row));
  const answer = await ask(sacctArgv(query), timeoutMs, { read: (piece) => reader.read(piece) });
  reader.end();
  const refused = answer.outcome === "failed" ? refusedColumn(answer.stderr) : undefined;
  const columns = query.columns.filter((column) => column !== refused);
  return columns.length < query.columns.length
    ? await readSacct({ ...query, columns }, timeoutMs, begin)
    : { answer, taker };
}

function readSqueue(inquiries: readonly Inquiry[], answer: Answer): Outcome {
  const delivery = new Delivery(inquiries);
  for (const row of parseTable(answer.stdout, SQUEUE_COLUMNS)) delivery.add(squeueStateRow(row));
  delivery.end(answer);
  if (fromController(answer.outcome)) {
    for (const inquiry of inquiries) inquiry.controllerAsked = true;
  }
  return answer.outcome;
}

/** Returns whether slurmctld itself has spoken: what it does not name is not live. */
function fromController(outcome: Outcome): boolean {
  return outcome === "answered" || outcome === "unknown-id";
}

/**
 * Whether scontrol can add anything: a state that squeue could not give, an exit code, or whether
 * what squeue has under the id is our job, requeued.
 */
function wantsScontrol(inquiry: Inquiry): boolean {
  const { kind, parts, laterUse } = gathered(inquiry);
  const row = parts.values().next().value;
  if (row === undefined || laterUse?.source === "squeue") return true;
  if (!inquiry.controllerAsked) return true;
  return kind === "job" && isOver(row.state.phase) && row.exit === undefined;
}

/**
 * Whether scontrol may know an exit code from 128 on, which sacct before 25.11 shows less 128. It
 * does so soon after the job's end only.
 */
function mayHideExit(inquiry: Inquiry): boolean {
  const { kind, parts } = gathered(inquiry);
  const row = parts.values().next().value;
  if (kind !== "job" || row?.source !== "sacct" || row.state.word !== "FAILED") return false;
  const { code = 0, signal = 0 } = row.exit ?? {};
  // Of 128 nothing is left, so that a failed job has the code 0.
  return signal === 0 && code < 128 && (row.end ?? 0) > Date.now() / 1000 - EXIT_KEPT;
}

async function askScontrol(
  inquiries: readonly Inquiry[],
  cluster: string | undefined,
  timeoutMs: number,
): Promise<void> {
  const answer = await ask(describeManyArgv(cluster), timeoutMs, {
    stdin: describeManyInput(idsOf(inquiries)),
  });
  const jobs = parseScontrolJobs(answer.stdout);
  const isWhole = answer.outcome === "answered" ||
    answer.outcome === "unknown-id" && saysUnknownIdOnly(answer.stderr);
  // It answers job by job: what it said before it failed counts, but the last job's may be cut off.
  const last = jobs.at(-1)?.reference.jobId;
  const delivery = new Delivery(inquiries);
  for (const job of jobs) {
    if (isWhole || job.reference.jobId !== last) delivery.add(scontrolStateRow(job));
  }
  const named = delivery.end(answer, { isPartial: true });
  for (const inquiry of isWhole ? inquiries : named) inquiry.controllerAsked = true;
}

/** Whether all that went wrong is that slurmctld does not know some of the jobs. */
function saysUnknownIdOnly(stderr: string): boolean {
  return stderr.split("\n").every((line) =>
    line.trim() === "" || classifyFailure(line) === "unknown-id"
  );
}

/** Returns a record of scontrol's as states, or undefined when its state is ambiguous. */
export function scontrolStateRow(job: ScontrolJob): StateRow | undefined {
  if (job.state === undefined) return undefined;
  const state = classifyState(job.state);
  const over = isOver(state.phase);
  return {
    source: "scontrol",
    reference: job.reference,
    rawId: job.jobId,
    state,
    exit: over ? job.exit : undefined,
    submit: job.submit,
    start: state.phase === "pending" ? undefined : job.start,
    end: over ? job.end : undefined,
    reason: job.reason === "None" ? undefined : job.reason,
    restarts: job.restarts,
  };
}

function idsOf(inquiries: readonly Inquiry[]): string[] {
  return [...new Set(inquiries.map(({ query }) => query.jobId))];
}

/** The rows of one answer on the way to the jobs that they are about. */
class Delivery {
  readonly #inquiries: readonly Inquiry[];
  readonly #byId: ReadonlyMap<string, readonly Inquiry[]>;
  readonly #rows = new Map<Inquiry, AlikeRows>();

  constructor(inquiries: readonly Inquiry[]) {
    this.#inquiries = inquiries;
    this.#byId = Map.groupBy(inquiries, ({ query }) => query.jobId);
  }

  /** Takes the next row; undefined is one that is about no job. */
  add(row: StateRow | undefined): void {
    if (row === undefined) return;
    const { reference, rawId } = row;
    for (const inquiry of this.#byId.get(reference.jobId) ?? this.#byId.get(rawId ?? "") ?? []) {
      const rows = this.#rows.get(inquiry) ?? new AlikeRows(inquiry.query.jobId);
      this.#rows.set(inquiry, rows);
      rows.add(row);
    }
  }

  /**
   * Gives each job its rows and a line on what the program said; returns the jobs that have got a
   * row. The rows of an answer that failed count only if it `isPartial`: right as far as it goes.
   */
  end(answer: Answer, { isPartial = false } = {}): ReadonlySet<Inquiry> {
    if (answer.outcome !== "answered" && !isPartial) this.#rows.clear();
    for (const inquiry of this.#inquiries) {
      const rows = this.#rows.get(inquiry);
      if (rows !== undefined) {
        inquiry.rows.push(...rows.rows());
        inquiry.gathered = undefined;
        if (missing(gathered(inquiry)).length === 0) continue;
        inquiry.said.push(`${answer.program} has no current row of all of the job`);
      } else if (answer.outcome !== "answered") inquiry.said.push(answer.said);
      else inquiry.said.push(`${answer.program} has no row of the job`);
    }
    return new Set(this.#rows.keys());
  }
}
