import { firstOf } from "../errors.ts";
import { type Answer, ask, QUERY_TIMEOUT_MS } from "./ask.ts";
import { isJobId, parseReference, parseTime } from "./fields.ts";
import { byCluster, type QueryOptions } from "./query.ts";
import { CLOCK_SLACK } from "./report.ts";
import { refusedColumn, sacctArgv, sacctSearchArgv } from "./sacct.ts";
import { saysNoSuchCluster } from "./outcome.ts";
import { isStandIn } from "./stand_in.ts";
import type { Submission } from "./submission.ts";
import { parseTable } from "./table.ts";

/** By what a submission whose answer was lost can be found again. */
export interface SubmissionTrace {
  /** A text of its own that stands in the command name or arguments of sbatch. */
  readonly token: string;
  /** The session that sbatch ran in, its leader's pid. */
  readonly sessionId: number;
  /** The name of the host that sbatch ran on. */
  readonly host: string;
  /** When the submission began. */
  readonly since: Date;
  /** The cluster of the stand-in, where that was chosen. */
  readonly cluster?: string;
  /** Returns the clusters that sbatch was told of, as far as that can be seen. */
  readonly namedClusters?: () => readonly string[];
}

/** What the search for a submission has shown. */
export interface Recovery {
  readonly found: readonly Submission[];
  /** What each program said, for people. */
  readonly asked: readonly string[];
  /** Whether finding nothing means that nothing was submitted. */
  readonly conclusive: boolean;
}

/** SubmitLine has the user's arguments in it, newlines too, so a plain column stands last. */
export const SUBMIT_COLUMNS = ["JobID", "Cluster", "Submit", "SubmitLine", "JobIDRaw"];

const QUEUE_COLUMNS = [
  "JobArrayID",
  "AllocNodes",
  "AllocSID",
  "SubmitTime",
  "Cluster",
  "State",
  "Reason",
];

/**
 * Returns the jobs that a lost submission has left: those whose SubmitLine in accounting (21.08 and
 * later) holds the token, and those that slurmctld says came from the session on the host. Finding
 * nothing is conclusive only when both answered: accounting lags some seconds and shows no held or
 * dependent job in a search by time (22.05), slurmctld forgets a job minutes after its end.
 */
export async function findSubmission(
  trace: SubmissionTrace,
  options: QueryOptions = {},
): Promise<Recovery> {
  const timeoutMs = options.timeoutMs ?? QUERY_TIMEOUT_MS;
  const since = trace.since.getTime() / 1000 - CLOCK_SLACK;
  const [accounting, queue] = await Promise.all([
    searchAccounting(trace, since, timeoutMs),
    searchQueue(trace, timeoutMs),
  ]);
  const tagged = accounting.found;
  const known = new Set([...tagged, ...queue.here].map(({ jobId }) => jobId));
  const elsewhere = queue.elsewhere.filter(({ jobId }) => !known.has(jobId));
  const confirmation = await confirm(elsewhere, trace, timeoutMs);
  const local = new Set(queue.here.map(({ jobId }) => jobId));
  return {
    found: [
      ...queue.here,
      ...[...tagged, ...confirmation.found].filter(({ jobId }) => !local.has(jobId)),
    ],
    asked: [...accounting.asked, ...queue.asked, ...confirmation.asked],
    conclusive: accounting.conclusive && queue.answered && confirmation.conclusive,
  };
}

/**
 * Asks accounting for the user's jobs since then that were submitted with the token. A sacct before
 * 21.08 does not say with what: it can tell only that there is no job at all.
 */
async function searchAccounting(
  trace: SubmissionTrace,
  since: number,
  timeoutMs: number,
): Promise<Recovery> {
  const age = Math.max(0, Date.now() / 1000 - since);
  const search = (columns: readonly string[]) =>
    ask(sacctSearchArgv(columns, age, trace.cluster), timeoutMs);
  const answer = await search(SUBMIT_COLUMNS);
  if (refusedColumn(answer.stderr) !== "SubmitLine") {
    const found = fromSubmitLines(answer.stdout, trace.token, since);
    const conclusive = answer.outcome === "answered";
    return { found, asked: [said(answer, found.length)], conclusive };
  }
  const columns = SUBMIT_COLUMNS.filter((column) => column !== "SubmitLine");
  const all = await search(columns);
  const ids = new Set(
    parseTable(all.stdout, columns).filter((row) => (parseTime(row["Submit"]) ?? since) >= since)
      .map((row) => parseReference(row["JobID"] ?? "")?.jobId).filter((id) => id !== undefined),
  );
  const isAnswered = all.outcome === "answered";
  return {
    found: [],
    asked: isAnswered && ids.size > 0
      ? [
        `sacct does not say how your jobs since then were submitted: ${
          firstOf([...ids], MOST_NAMED)
        }`,
      ]
      : [said(all, 0)],
    conclusive: isAnswered && ids.size === 0,
  };
}

const MOST_NAMED = 10;

/** What slurmctld says of jobs from the session of a submission. */
export interface QueueSearch {
  /** Jobs from the session on this host. */
  readonly here: readonly Submission[];
  /** Jobs from a session of the same number on a host of another name, or an earlier one. */
  readonly elsewhere: readonly Submission[];
  readonly asked: readonly string[];
  readonly answered: boolean;
  /** Whether there is no squeue; then there is no sbatch either. */
  readonly missing: boolean;
  /** Whether slurmdbd knows no cluster of the name that was asked for. */
  readonly noSuchCluster: boolean;
}

/** How the jobs from a session are searched for. */
interface SearchOptions {
  /** Whether what slurmctld keeps of a job that it has refused counts. */
  readonly withRefused?: boolean;
  /** Other clusters in the place of the local one: `all`, or one by its name. */
  readonly clusters?: string;
}

/**
 * Asks slurmctld for the jobs from a submission's session, and where it knows none those of the other
 * clusters (`--clusters`); where sbatch said that it was refused, without what slurmctld keeps of the
 * job that it has refused. That these cannot be asked says nothing: where slurmdbd does not know
 * them, sbatch cannot submit to them either (20.11 to 25.11). But one that sbatch was told of may have
 * gone down since, and `--clusters=all` leaves it out without a word (22.05): such are asked by name.
 */
export async function searchQueue(
  trace: SubmissionTrace,
  timeoutMs: number,
  { withRefused = true, clusters }: SearchOptions = {},
): Promise<QueueSearch> {
  const answer = await ask(queueSearchArgv(clusters ?? trace.cluster), timeoutMs);
  const answered = answer.outcome === "answered";
  const since = trace.since.getTime() / 1000 - CLOCK_SLACK;
  const session = (answered ? fromSession(answer.stdout, trace.sessionId, since) : [])
    .filter(({ isRefused }) => withRefused || !isRefused);
  // Numbers of sessions come again, within minutes where many processes start. By a clock that both
  // share, what was submitted before was not submitted by us; where they differ the token tells.
  const begun = Math.floor(trace.since.getTime() / 1000);
  const here = session.filter(({ host, submit }) =>
    isSameHost(host, trace.host) && (submit ?? begun) >= begun
  );
  const submissionOf = ({ jobId, cluster }: SessionJob): Submission =>
    cluster !== undefined && (clusters !== undefined || isStandIn(cluster))
      ? { jobId, cluster }
      : { jobId };
  const found = {
    here: here.map(submissionOf),
    elsewhere: session.filter((job) => !here.includes(job)).map(submissionOf),
    asked: [said(answer, session.length)],
    answered,
    missing: answer.outcome === "missing",
    noSuchCluster: saysNoSuchCluster(answer.stderr),
  };
  const isLocal = clusters === undefined && trace.cluster === undefined;
  return answered && isLocal && here.length === 0
    ? await searchOthers(trace, timeoutMs, withRefused, found)
    : found;
}

/** Adds what the other clusters say to what the local one has said. */
async function searchOthers(
  trace: SubmissionTrace,
  timeoutMs: number,
  withRefused: boolean,
  local: QueueSearch,
): Promise<QueueSearch> {
  const others = await searchQueue(trace, timeoutMs, { withRefused, clusters: "all" });
  const all = {
    ...local,
    here: others.here,
    elsewhere: [...local.elsewhere, ...others.elsewhere],
    asked: others.answered ? others.asked : local.asked,
  };
  return all.here.length > 0 ? all : await searchNamed(trace, timeoutMs, withRefused, all);
}

/** Adds what the clusters say that sbatch was told of; where one is silent nothing is conclusive. */
async function searchNamed(
  trace: SubmissionTrace,
  timeoutMs: number,
  withRefused: boolean,
  found: QueueSearch,
): Promise<QueueSearch> {
  let all = found;
  for (const name of trace.namedClusters?.() ?? []) {
    const own = await searchQueue(trace, timeoutMs, { withRefused, clusters: name });
    if (own.noSuchCluster) continue;
    all = {
      ...all,
      here: [...all.here, ...own.here],
      elsewhere: [...all.elsewhere, ...own.elsewhere],
      asked: [
        ...all.asked,
        ...own.asked.map((line) => `${line} of cluster ${JSON.stringify(name)}`),
      ],
      answered: all.answered && own.answered,
    };
  }
  return all;
}

/**
 * Looks at the SubmitLine of jobs from a session of the same number on a host of another name: it
 * may be another host, or this one under the name that its address has (munge). Or it was submitted
 * earlier: by another session, or by this one if slurmctld's clock is late. Each job's own cluster
 * is asked. A row of long before is of another job that had the id, so that ours is not there yet.
 */
export async function confirm(
  jobs: readonly Submission[],
  { token, since }: Pick<SubmissionTrace, "token" | "since">,
  timeoutMs: number,
): Promise<Recovery> {
  const found: Submission[] = [];
  const asked: string[] = [];
  let conclusive = true;
  const earliest = since.getTime() / 1000 - CLOCK_SLACK;
  for (const [cluster, group] of byCluster(jobs)) {
    const jobIds = group.map(({ jobId }) => jobId);
    const query = { jobIds, columns: SUBMIT_COLUMNS };
    const answer = await ask(
      sacctArgv(cluster === undefined ? query : { ...query, cluster }),
      timeoutMs,
    );
    const listed = new Set(
      parseTable(answer.stdout, SUBMIT_COLUMNS)
        .filter((row) => (parseTime(row["Submit"]) ?? earliest) >= earliest)
        .map((row) => parseReference(row["JobID"] ?? "")?.jobId),
    );
    const ours = fromSubmitLines(answer.stdout, token, 0);
    found.push(...ours);
    asked.push(said(answer, ours.length));
    const isAnswered = answer.outcome === "answered";
    conclusive &&= isAnswered && jobIds.every((jobId) => listed.has(jobId));
  }
  return { found, asked, conclusive };
}

/** Returns the argv that shows from which host and session the jobs of the queue came. */
export function queueSearchArgv(clusters?: string): string[] {
  const format = QUEUE_COLUMNS.map((column) => `${column}:255`).join(",");
  return [
    "squeue",
    ...(clusters === undefined ? [] : [`--clusters=${clusters}`]),
    "--me",
    "--noheader",
    "--states=all",
    `--Format=${format}`,
  ];
}

/** A job of the queue that came from a session. */
export interface SessionJob {
  readonly jobId: string;
  readonly host: string;
  readonly cluster: string | undefined;
  /** In seconds since 1970, by slurmctld's clock. */
  readonly submit: number | undefined;
  /** Whether it is what slurmctld keeps of a job that it has refused to sbatch (22.05). */
  readonly isRefused: boolean;
}

/**
 * Returns the jobs in headerless `squeue --Format` output that came from a session of that number:
 * `492   login1   4700   1795359739   test   FAILED   BadConstraints`, one job or task a line; what
 * cannot be read is left out.
 */
export function fromSession(
  stdout: string,
  sessionId: number,
  since: number,
): SessionJob[] {
  const found = new Map<string, SessionJob>();
  for (const line of stdout.split("\n")) {
    const [id, host, sid, submit, cluster, state, reason] = line.trim().split(/\s+/);
    const jobId = /^\d+/.exec(id ?? "")?.[0];
    if (jobId === undefined || host === undefined) continue;
    const time = parseTime(submit);
    if (sid !== String(sessionId) || (time ?? since) < since) continue;
    const isRefused = state === "FAILED" && reason === "BadConstraints";
    found.set(`${jobId};${cluster ?? ""}`, { jobId, host, cluster, submit: time, isRefused });
  }
  return [...found.values()];
}

/** Returns the submissions of a table of {@link SUBMIT_COLUMNS} whose SubmitLine has the token. */
export function fromSubmitLines(stdout: string, token: string, since: number): Submission[] {
  const found = new Map<string, Submission>();
  for (const row of parseTable(stdout, SUBMIT_COLUMNS)) {
    const jobId = parseReference(row["JobID"] ?? "")?.jobId;
    if (jobId === undefined || !isJobId(jobId) || !row["SubmitLine"]?.includes(token)) continue;
    if ((parseTime(row["Submit"]) ?? since) < since) continue;
    const cluster = row["Cluster"] ?? "";
    found.set(`${jobId};${cluster}`, cluster === "" ? { jobId } : { jobId, cluster });
  }
  return [...found.values()];
}

/** slurmctld names the host by its address: one that it shares with us is `localhost` (22.05). */
export function isSameHost(node: string, host: string): boolean {
  const shortName = (name: string) => name.split(".", 1)[0]?.toLowerCase();
  return node === "localhost" || shortName(node) === shortName(host);
}

function said(answer: Answer, count: number): string {
  return answer.outcome === "answered"
    ? `${answer.program} names ${count === 0 ? "no such job" : `${count} such`}`
    : answer.said;
}
