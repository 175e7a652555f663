import { openDataset } from "../dataset/dataset.ts";
import { peekOpenJobs } from "../dataset/peek.ts";

/** How long all of history is read for, in milliseconds: somebody has pressed the tab key. */
const PATIENCE_MS = 60;

/** Returns the open jobs of a dataset for a completion, newest first, as far as time allows. */
export async function openJobWords(
  directory: string | undefined,
): Promise<{ readonly jobId: string; readonly command: string }[]> {
  const dataset = await openDataset(directory);
  const jobs = await peekOpenJobs(dataset, PATIENCE_MS);
  return jobs.map(({ jobId, record: { cmd } }) => ({
    jobId,
    command: typeof cmd === "string" ? cmd : cmd.join(" "),
  })).reverse();
}
