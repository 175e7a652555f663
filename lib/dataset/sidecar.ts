import { git } from "../git/git.ts";
import { externalError, run, text } from "../process/run.ts";
import { parseSidecar } from "../record/sidecar.ts";
import type { JobRecord } from "../record/schema.ts";

/**
 * Returns the record that a commit keeps beside its message, in `.datalad/runinfo/ID`: lines of
 * JSON, compressed with xz. Throws a {@link ToolError} when it is missing or cannot be read.
 */
export async function readSidecar(
  root: string,
  commit: string,
  id: string,
  jobId: string,
): Promise<JobRecord> {
  const blob = await git(root, ["cat-file", "blob", `${commit}:.datalad/runinfo/${id}`]);
  const lines = await run(["xz", "--decompress", "--stdout"], { stdin: blob.stdout });
  if (lines.code !== 0) {
    throw externalError(lines, `The record ${id} of commit ${commit} cannot be decompressed`);
  }
  return parseSidecar(commit, text(lines.stdout), jobId);
}
