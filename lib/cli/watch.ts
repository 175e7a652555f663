import { isOwnJob } from "../commands/own_job.ts";
import { Expectation, Poll, type Polling } from "../commands/polling.ts";
import type { OpenJobStatus, StatusResult } from "../commands/status.ts";
import { jobKeyOf } from "../dataset/history.ts";
import { neverStarts } from "../slurm/report.ts";
import { stateOf, statusSummary, statusTable } from "./status_table.ts";
import { fitsScreen } from "./pager.ts";
import type { Terminal } from "./terminal.ts";

/** How the open jobs are watched. */
export interface Watching extends Polling {
  /** Asks once more; the first call tells whatever else there is to tell. */
  readonly look: (isFirst: boolean) => Promise<StatusResult>;
  /** Shows a job whose state has changed, where no screen is drawn. */
  readonly showChange: (job: OpenJobStatus, root: string) => void;
}

/**
 * Shows the open jobs until none of them is live any more, and returns false when the time was over
 * before. On a terminal the table is drawn in its place again and again; elsewhere there is a line
 * for each job at first, and whenever its state has changed.
 */
export async function watch(
  { look, showChange, ...polling }: Watching,
  terminal: Terminal,
): Promise<{ result: StatusResult; isOver: boolean }> {
  const poll = new Poll(polling);
  const expectation = new Expectation();
  const screen = terminal.isTerminal && !terminal.json ? new Screen(terminal) : undefined;
  const shown = new Map<string, string>();
  for (let isFirst = true;; isFirst = false) {
    const result = await look(isFirst);
    screen?.draw(result.jobs);
    for (const job of screen === undefined ? result.jobs : []) {
      const state = stateOf(job);
      if (shown.get(jobKeyOf(job.job)) !== state) showChange(job, result.root);
      shown.set(jobKeyOf(job.job), state);
    }
    const isOver = !result.jobs.some(({ job, report, branch }) =>
      expectation.isWorthwhile(
        jobKeyOf(job),
        // Nobody waits for what cannot start, nor for itself.
        branch === undefined && !isOwnJob(job) && report !== undefined && !neverStarts(report)
          ? report.phase
          : undefined,
      )
    );
    if (isOver || terminal.isGone || !await poll.next()) return { result, isOver };
  }
}

/** The lines of a table that are drawn anew in their place. */
class Screen {
  readonly #terminal: Terminal;
  #lines = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  draw(jobs: readonly OpenJobStatus[]): void {
    const [time] = new Date().toTimeString().split(" ");
    const footer = `${jobs.length} open, as of ${time}; Ctrl-C ends this`;
    const lines = jobs.length === 0 ? ["No open jobs"] : [...this.#table(jobs), footer];
    // What was drawn before is left upwards; then everything below is cleared.
    const back = this.#lines === 0 ? "" : `\x1b[${this.#lines}A\r`;
    this.#terminal.result(`${back}\x1b[J${lines.join("\n")}`);
    this.#lines = lines.length;
  }

  /** More than the screen holds could not be drawn over: then there is a line for each state. */
  #table(jobs: readonly OpenJobStatus[]): string[] {
    const terminal = this.#terminal;
    if (fitsScreen(jobs.length + 2, terminal)) return statusTable(jobs, terminal);
    return statusSummary(jobs, terminal).slice(0, Math.max(1, terminal.height - 3));
  }
}
