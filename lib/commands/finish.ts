import { cloneId, type Dataset, openDataset } from "../dataset/dataset.ts";
import { jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import { requireIdentity } from "../git/identity.ts";
import { accountJobs } from "../slurm/accounting.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import type { JobQuery, JobReport } from "../slurm/report.ts";
import { commitResults, type FinishingJob, type FinishNotes } from "./commit_results.ts";
import type { LockPatience } from "./locked.ts";
import { type Selection, selectOpenJobs } from "./select_jobs.ts";

/** What `finish` is asked to do. */
export interface FinishOptions extends Selection {
  readonly dataset?: string | undefined;
  readonly message?: string | undefined;
  /** What becomes of jobs that failed: they stay open, are closed without outputs, or with them. */
  readonly failedJobs: "leave" | "close" | "commit";
  /** Also finishes jobs that were submitted from another clone, with the files that are here. */
  readonly otherClones: boolean;
}

/** What `finish` did about one job. */
export interface FinishedJob {
  readonly job: RecordedJob;
  readonly report: JobReport | undefined;
  /**
   * `finished` and `closed` jobs have a commit now; the others are left open: because they are not
   * over (`live`), have failed, are not known to Slurm, or belong to another clone. `settled` jobs
   * were finished by another process meanwhile.
   */
  readonly outcome: "finished" | "closed" | "live" | "failed" | "unknown" | "elsewhere" | "settled";
  readonly commit?: string;
  readonly notes?: FinishNotes;
}

/** What `finish` has to tell. */
export interface FinishResult {
  readonly jobs: readonly FinishedJob[];
  /** Targets that name no open job, with the reason. */
  readonly notOpen: readonly { readonly target: string; readonly reason: string }[];
  readonly unreadable: readonly string[];
}

/**
 * Finishes jobs: asks Slurm once for all of them and makes one commit for each that is complete,
 * with its outputs, its logs and what Slurm knew of it.
 */
export async function finish(
  options: FinishOptions,
  patience: LockPatience,
): Promise<FinishResult> {
  const dataset = await openDataset(options.dataset);
  const { jobs, notOpen, open, unreadable } = await selectOpenJobs(dataset, options);
  const here = await jobsOfThisClone(dataset, jobs, options.otherClones);
  const reports = await queryJobs(here.map(queryOf));
  const outcomes = new Map<string, FinishedJob>();
  const finishing: FinishingJob[] = [];
  for (const job of jobs) {
    const report = reports.get(jobKey(queryOf(job)));
    const outcome = here.includes(job) ? judge(report, options.failedJobs) : "elsewhere";
    outcomes.set(jobKeyOf(job), { job, report, outcome });
    if (report !== undefined && (outcome === "finished" || outcome === "closed")) {
      finishing.push({ job, report, withFiles: outcome === "finished" });
    }
  }
  if (finishing.length > 0) {
    await requireIdentity(dataset.root, dataset.configuration);
    const accounts = await accountJobs(finishing.map(({ job }) => queryOf(job)));
    const committed = await commitResults(dataset, {
      jobs: finishing,
      accounts: (job) => accounts.get(jobKey(queryOf(job))),
      otherOpenJobs: open.filter((job) => !finishing.some((other) => other.job === job)),
      message: options.message,
    }, patience);
    for (const { job } of finishing) {
      const key = jobKeyOf(job);
      const before = outcomes.get(key);
      if (before === undefined) continue;
      const result = committed.get(key);
      outcomes.set(
        key,
        result === undefined ? { ...before, outcome: "settled" } : {
          ...before,
          commit: result.commit,
          notes: result.notes,
        },
      );
    }
  }
  return { jobs: [...outcomes.values()], notOpen, unreadable };
}

/** Returns the question to Slurm about a recorded job. */
export function queryOf({ jobId, record }: RecordedJob): JobQuery {
  const { cluster, submitted_at, job } = record.datalad_slurm ?? {};
  return {
    jobId,
    ...(cluster === undefined ? {} : { cluster }),
    ...(submitted_at === undefined ? {} : { submittedAt: new Date(submitted_at) }),
    ...(job?.array === undefined ? {} : { expected: job.array }),
  };
}

/**
 * Returns the jobs whose files are in this work tree. Records of the DataLad extension do not say
 * where they come from and count as ours.
 */
export async function jobsOfThisClone(
  dataset: Dataset,
  jobs: readonly RecordedJob[],
  otherClones = false,
): Promise<readonly RecordedJob[]> {
  if (otherClones) return jobs;
  const clone = await cloneId(dataset);
  return jobs.filter(({ record: { datalad_slurm: origin } }) =>
    origin?.clone === undefined ||
    origin.clone === clone && origin.worktree === dataset.repository.worktree
  );
}

function judge(
  report: JobReport | undefined,
  failedJobs: FinishOptions["failedJobs"],
): FinishedJob["outcome"] {
  switch (report?.phase) {
    case "completed":
      return "finished";
    case "failed":
      if (failedJobs === "leave") return "failed";
      return failedJobs === "close" ? "closed" : "finished";
    case "pending":
    case "running":
      return "live";
    default:
      return "unknown";
  }
}
