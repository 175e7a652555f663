import type { Dataset } from "../dataset/dataset.ts";
import { readOpenJobs } from "../dataset/history.ts";
import { finisherQuery } from "./auto_finish.ts";

/** Why a name stands for no job that is asked for, and what to do. */
export interface Explanation {
  readonly reason: string;
  readonly hint?: string;
}

/** Says of a name that no commit and no recorded job has what it is instead, if anything. */
export async function explainUnknown(
  dataset: Dataset,
  target: string,
): Promise<Required<Explanation>> {
  const jobId = /^(\d+)(?:_(?:\d+|\[[\d,:-]+\]))?$/.exec(target)?.[1];
  const finished = jobId === undefined ? undefined : await jobFinishedBy(dataset, jobId);
  if (finished !== undefined) {
    return {
      reason: `Job ${jobId} is the finishing job of job ${finished}, and is not recorded itself`,
      hint: `See what it is to finish with: datalad-slurm show ${finished}`,
    };
  }
  return {
    reason: jobId === undefined
      ? `${JSON.stringify(target)} is neither a commit nor the id of a job of this dataset`
      : `No job ${jobId} is recorded in this dataset`,
    hint: "See the recorded jobs with: datalad-slurm log",
  };
}

/** Returns the id of the open job that a job is to finish; undefined for any other job. */
async function jobFinishedBy(dataset: Dataset, jobId: string): Promise<string | undefined> {
  const { jobs } = await readOpenJobs(dataset);
  return jobs.find((job) => finisherQuery(dataset, job)?.jobId === jobId)?.jobId;
}
