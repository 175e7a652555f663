import { openDataset } from "../dataset/dataset.ts";
import type { RecordedJob } from "../dataset/history.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import type { JobReport } from "../slurm/report.ts";
import { existingRefs } from "../git/refs.ts";
import { reportOfOpenTasks } from "./array_parts.ts";
import { finisherQuery, type FinisherStatus, finisherStatus } from "./auto_finish.ts";
import { jobBranch } from "./commit_results.ts";
import { jobsOfThisClone, tasksIn } from "./finish.ts";
import { queryOf } from "./job_query.ts";
import { type LeftBehind, leftBehind } from "./left_behind.ts";
import type { LockPatience } from "./locked.ts";
import { SeenFiles } from "./log_names.ts";
import { type TakenUp, takeUpJournal } from "./take_up.ts";
import { type NotOpen, type Selection, selectOpenJobs } from "./select_jobs.ts";

/** What `status` is asked to show. */
export interface StatusOptions extends Selection {
  readonly dataset?: string | undefined;
}

/** One open job and what Slurm says of it. */
export interface OpenJobStatus {
  readonly job: RecordedJob;
  /**
   * Undefined for a job of another clone, which may be another cluster's. Of an array that is
   * finished in part it is about the tasks that are open.
   */
  readonly report: JobReport | undefined;
  /** Its finishing job, where it was to have one. */
  readonly finisher: FinisherStatus | undefined;
  /** What a job whose state is not known has left. */
  readonly left: LeftBehind | undefined;
  /** The branch that holds its results, where that is not merged yet. */
  readonly branch: string | undefined;
}

/** What `status` shows. */
export interface StatusResult {
  /** The root of the dataset. */
  readonly root: string;
  readonly jobs: readonly OpenJobStatus[];
  readonly notOpen: readonly NotOpen[];
  readonly unreadable: readonly string[];
  /** Operations that another command has left unfinished, and what became of them. */
  readonly journal: readonly TakenUp[];
}

/** Returns the open jobs with their states; Slurm is asked once for all of them. */
export async function status(
  options: StatusOptions,
  patience: LockPatience,
): Promise<StatusResult> {
  const dataset = await openDataset(options.dataset);
  const journal = await takeUpJournal(dataset, patience);
  const current = journal.some(({ outcome }) => outcome === "recorded")
    ? await openDataset(options.dataset)
    : dataset;
  const { jobs, notOpen, unreadable } = await selectOpenJobs(current, options);
  const here = new Set(jobsOfThisClone(current, jobs));
  const finishers = [...here].flatMap((job) => finisherQuery(current, job) ?? []);
  const reports = await queryJobs([...[...here].map(queryOf), ...finishers]);
  const branches = await existingRefs(
    current.repository,
    jobs.map(jobBranch),
  );
  const seen = new SeenFiles();
  return {
    root: current.root,
    jobs: jobs.map((job) => {
      const said = here.has(job) ? reports.get(jobKey(queryOf(job))) : undefined;
      const report = said && reportOfOpenTasks(job, said);
      const branch = jobBranch(job);
      return {
        job,
        finisher: here.has(job) ? finisherStatus(current, job, said, reports) : undefined,
        branch: branches.has(branch) ? branch : undefined,
        report,
        left: report?.phase === "unknown"
          ? leftBehind(current.root, job, tasksIn({ report }, "unknown"), seen)
          : undefined,
      };
    }),
    notOpen,
    unreadable,
    journal,
  };
}
