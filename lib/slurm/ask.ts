import { run, type RunOptions, text } from "../process/run.ts";
import { ToolError } from "../errors.ts";
import { standInPath } from "./local/choice.ts";
import { isStandIn } from "./stand_in.ts";
import { classifyFailure, explain, type Outcome } from "./outcome.ts";

/** What one of Slurm's programs said. */
export interface Answer {
  readonly program: string;
  readonly outcome: Outcome;
  /** What it printed; empty where that was read as it came. */
  readonly stdout: string;
  readonly stderr: string;
  /** The outcome for people, starting with the program's name. */
  readonly said: string;
}

/** So much of what a program printed is kept to explain its failure, in characters. */
const LONGEST_SAYING = 4_000;

/** The time limit of one query in milliseconds: slurmctld being down takes 18 s to notice. */
export const QUERY_TIMEOUT_MS = 30_000;

/**
 * The variables that change what sacct, squeue and scontrol print or whom they ask, pinned or
 * removed (20.11 to 25.11). SLURM_CONF and what else leads to the cluster stays.
 */
export const QUERY_ENVIRONMENT: Readonly<Record<string, string | undefined>> = {
  LC_ALL: "C",
  SLURM_TIME_FORMAT: "%s",
  SLURM_BITSTR_LEN: "0",
  ...Object.fromEntries(
    [
      "SLURM_CLUSTERS",
      "SLURM_EXIT_ERROR",
      "SLURM_EXIT_IMMEDIATE",
      "SACCT_FORMAT",
      "SACCT_FEDERATION",
      "SACCT_LOCAL",
      "SCONTROL_ALL",
      "SCONTROL_FEDERATION",
      "SCONTROL_FUTURE",
      "SCONTROL_LOCAL",
      "SCONTROL_SIBLING",
      "SQUEUE_ACCOUNT",
      "SQUEUE_ALL",
      "SQUEUE_ARRAY",
      "SQUEUE_ARRAY_UNIQUE",
      "SQUEUE_FEDERATION",
      "SQUEUE_FORMAT",
      "SQUEUE_FORMAT2",
      "SQUEUE_LICENSES",
      "SQUEUE_LOCAL",
      "SQUEUE_NAMES",
      "SQUEUE_PARTITION",
      "SQUEUE_PRIORITY",
      "SQUEUE_QOS",
      "SQUEUE_SIBLING",
      "SQUEUE_SORT",
      "SQUEUE_STATES",
      "SQUEUE_USERS",
    ].map((name) => [name, undefined]),
  ),
};

/** A question about the stand-in's jobs goes to the stand-in, whatever is on PATH. */
async function environmentFor(argv: readonly string[]): Promise<typeof QUERY_ENVIRONMENT> {
  const cluster = argv.find((word) => word.startsWith("--clusters="))?.slice("--clusters=".length);
  if (cluster === undefined || !isStandIn(cluster)) return QUERY_ENVIRONMENT;
  return { ...QUERY_ENVIRONMENT, PATH: await standInPath(cluster) };
}

/** Told of a program that has not answered yet, and for how many seconds; undefined at its end. */
export type SlowAnswerObserver = (program: string, seconds: number | undefined) => void;

let observer: SlowAnswerObserver | undefined;

/** Has every program reported that lets us wait, from now on, about once a second. */
export function observeSlowAnswers(next: SlowAnswerObserver): void {
  observer = next;
}

async function watched<Result>(program: string, answer: Promise<Result>): Promise<Result> {
  if (observer === undefined) return await answer;
  const tell = observer;
  const started = performance.now();
  const timer = setInterval(
    () => tell(program, Math.round((performance.now() - started) / 1000)),
    1_000,
  );
  try {
    return await answer;
  } finally {
    clearInterval(timer);
    tell(program, undefined);
  }
}

/**
 * Runs one query and returns what it said; a program that is missing or does not answer in time is
 * an outcome too. The program gets a session of its own, so that the time limit also ends what a
 * site's wrapper script has started. One that may be stopped is asked ahead, and not reported as slow.
 * `read` takes stdout as it comes, also of a program that fails in the end.
 */
export async function ask(
  argv: readonly string[],
  timeoutMs: number = QUERY_TIMEOUT_MS,
  { stdin, stop, read }: Pick<RunOptions, "stdin" | "stop"> & {
    readonly read?: (piece: string) => void;
  } = {},
): Promise<Answer> {
  const program = argv[0] ?? "";
  const decoder = new TextDecoder();
  let beginning = "";
  const onStdout = (piece: Uint8Array) => {
    const decoded = decoder.decode(piece, { stream: true });
    if (beginning.length < LONGEST_SAYING) beginning += decoded.slice(0, LONGEST_SAYING);
    read?.(decoded);
  };
  try {
    const answer = run(argv, {
      env: await environmentFor(argv),
      timeoutMs,
      detached: true,
      ...(stdin === undefined ? {} : { stdin }),
      ...(stop === undefined ? {} : { stop }),
      ...(read === undefined ? {} : { onStdout }),
    });
    const result = stop === undefined ? await watched(program, answer) : await answer;
    const failure = classifyFailure(result.stderr);
    const outcome = result.timedOut
      ? failure === "not-configured" ? failure : "timeout"
      : result.code === 0
      ? "answered"
      : failure;
    const stdout = text(result.stdout);
    const said = explain(outcome, timeoutMs, result.stderr || stdout || beginning, result.code);
    return { program, outcome, stdout, stderr: result.stderr, said: `${program} ${said}` };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const said = `${program} could not be started: ${error.message}`;
    return { program, outcome: "missing", stdout: "", stderr: "", said };
  }
}
