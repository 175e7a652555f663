import { cloneId, type Dataset, refuseAdjustedBranch } from "../dataset/dataset.ts";
import { datasetPath } from "../dataset/paths.ts";
import { ToolError } from "../errors.ts";
import { findHolder } from "../store/reservations.ts";
import { reservedPaths } from "./reserved_paths.ts";
import { jobKeyOf, type RecordedJob } from "../dataset/history.ts";
import { requireAnnex } from "../git/annexed.ts";
import { requireIdentity } from "../git/identity.ts";
import type { JobAccounting } from "../slurm/account.ts";
import { accountJobs } from "../slurm/accounting.ts";
import { jobKey, queryJobs } from "../slurm/query.ts";
import type { JobQuery, JobReport } from "../slurm/report.ts";
import { existingRefs } from "../git/refs.ts";
import type { CommitLayout } from "./commit_files.ts";
import { commitResults, jobBranch } from "./commit_results.ts";
import type { FinishingJob, FinishNotes } from "./gather_results.ts";
import type { LockPatience } from "./locked.ts";
import { openTakingUp } from "./recover.ts";
import { type Selection, selectOpenJobs } from "./select_jobs.ts";

const FEW_JOBS = 50;

/** What `finish` is asked to do. */
export interface FinishOptions extends Selection {
  readonly dataset?: string | undefined;
  readonly message?: string | undefined;
  /** Further outputs of the one job that is named. */
  readonly outputs: readonly string[];
  /** What becomes of jobs that failed: they stay open, are closed without outputs, or with them. */
  readonly failedJobs: "leave" | "close" | "commit";
  /** Also finishes jobs that were submitted from another clone, with the files that are here. */
  readonly otherClones: boolean;
  /** Compares files that are copied back from an alternative directory, byte for byte. */
  readonly verifyCopies: boolean;
  readonly layout: CommitLayout;
}

/** What `finish` did about one job. */
export interface FinishedJob {
  readonly job: RecordedJob;
  readonly report: JobReport | undefined;
  /**
   * `finished` and `closed` jobs have a commit now; the others are left open: because they are not
   * over (`live`), have failed, are not known to Slurm, belong to another clone, or were finished on
   * a branch that is not merged yet. `settled` jobs were finished by another process meanwhile.
   */
  readonly outcome:
    | "finished"
    | "closed"
    | "live"
    | "failed"
    | "unknown"
    | "elsewhere"
    | "on a branch"
    | "settled";
  readonly commit?: string;
  readonly notes?: FinishNotes;
}

/** What `finish` has to tell. */
export interface FinishResult {
  /** The root of the dataset. */
  readonly root: string;
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
  const dataset = await openTakingUp(options.dataset, patience);
  const { jobs, notOpen, open, unreadable } = await selectOpenJobs(dataset, options);
  const here = jobsOfThisClone(dataset, jobs, options.otherClones);
  const branches = await existingRefs(
    dataset.repository,
    jobs.map(({ jobId }) => jobBranch(jobId)),
  );
  const { verifyCopies } = options;
  const addedOutputs = addOutputs(dataset, options, jobs);
  // sacct takes its time, so of a few jobs the accounting is asked for at the same time.
  const early = here.length <= FEW_JOBS ? accountJobs(here.map(queryOf)) : undefined;
  const reports = await queryJobs(here.map(queryOf));
  const outcomes = new Map<string, FinishedJob>();
  const finishing: Omit<FinishingJob, "accounting">[] = [];
  for (const job of jobs) {
    const report = reports.get(jobKey(queryOf(job)));
    const outcome = branches.has(jobBranch(job.jobId))
      ? "on a branch"
      : here.includes(job)
      ? judge(report, options.failedJobs)
      : "elsewhere";
    outcomes.set(jobKeyOf(job), { job, report, outcome });
    if (report !== undefined && (outcome === "finished" || outcome === "closed")) {
      finishing.push({
        job,
        report,
        withFiles: outcome === "finished",
        addedOutputs,
        verifyCopies,
      });
    }
  }
  if (finishing.length > 0) {
    refuseAdjustedBranch(dataset);
    if (dataset.hasAnnex) requireAnnex(dataset.root);
    await requireIdentity(dataset.root, dataset.configuration);
    const accounts = await (early ?? accountJobs(finishing.map(({ job }) => queryOf(job))));
    const committed = await commitResults(dataset, {
      jobs: finishing.map((item) => ({
        ...item,
        accounting: ofWholeJob(accounts.get(jobKey(queryOf(item.job))), item.report),
      })),
      otherOpenJobs: open.filter((job) => !finishing.some((other) => other.job === job)),
      message: options.message,
      layout: options.layout,
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
  return { root: dataset.root, jobs: [...outcomes.values()], notOpen, unreadable };
}

/** Returns the outputs that are declared at the finish; throws when it is not clear whose. */
function addOutputs(
  dataset: Dataset,
  { outputs, targets }: FinishOptions,
  jobs: readonly RecordedJob[],
): string[] {
  if (outputs.length === 0) return [];
  const [job, ...others] = jobs;
  if (targets.length !== 1 || job === undefined || others.length > 0) {
    throw new ToolError("usage", "Outputs can be added to one job only", {
      hint: "Name the job as well: finish -o PATH JOBID",
    });
  }
  const paths = outputs.map((path) => datasetPath(dataset.root, dataset.pwd, path, "The output"));
  for (const path of paths) {
    const conflict = findHolder(dataset.store.reservations, reservedPaths([path])[0] ?? path);
    if (conflict !== undefined && conflict.token !== jobKeyOf(job)) {
      throw new ToolError(
        "refused",
        `The output ${JSON.stringify(path)} is held by another open job, by its output ` +
          JSON.stringify(conflict.held),
        { hint: "See the open jobs with: datalad-slurm status" },
      );
    }
  }
  return paths;
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
export function jobsOfThisClone(
  dataset: Dataset,
  jobs: readonly RecordedJob[],
  otherClones = false,
): readonly RecordedJob[] {
  if (otherClones) return jobs;
  const clone = cloneId(dataset);
  return jobs.filter(({ record: { datalad_slurm: origin } }) =>
    origin?.clone === undefined ||
    origin.clone === clone && origin.worktree === dataset.repository.worktree
  );
}

/** For a second after its end, sacct shows of an array its last task alone, as a job (22.05). */
function ofWholeJob(
  accounting: JobAccounting | undefined,
  report: JobReport,
): JobAccounting | undefined {
  return report.tasks !== undefined && accounting?.tasks === undefined ? undefined : accounting;
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
