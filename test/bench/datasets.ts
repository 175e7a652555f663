import { text } from "../../lib/process/run.ts";
import { encodeMessage } from "../../lib/record/message.ts";
import { start } from "./measure.ts";

/** What names this clone in the records; a fixed one, so that copies of a dataset are the same clone. */
const CLONE = "00000000-0000-4000-8000-00000000be9c";

/** A job as it is recorded in a dataset. */
export interface RecordedBenchJob {
  readonly jobId: string;
  /** The declared output. */
  readonly output: string;
  /** The log file. */
  readonly log: string;
}

/** Makes a dataset with ten small files in one commit. */
export async function createDataset(root: string, annex = false): Promise<void> {
  await initialise(root);
  for (let index = 0; index < 10; index++) {
    await Deno.writeTextFile(`${root}/file-${index}`, `${index}\n`);
  }
  await git(root, ["add", "."]);
  await git(root, ["commit", "--quiet", "-m", "Ten files"]);
  if (annex) {
    await git(root, ["annex", "init", "--quiet", "bench"]);
    await git(root, ["config", "annex.uuid", CLONE]);
  }
}

/**
 * Makes a dataset that tracks so many files, in directories of a thousand, without a single one in
 * the work tree: it is sparse, so git takes all of them for skipped. They share one content and the
 * directories share one tree, but the index has an entry for each, which is what git's work on it
 * grows with.
 */
export async function createLargeDataset(root: string, files: number): Promise<void> {
  await initialise(root);
  const blob = await git(root, ["hash-object", "-w", "--stdin"], "content\n");
  const entries = (count: number, entry: (index: string) => string) =>
    Array.from({ length: count }, (_, index) => `${entry(`${index}`.padStart(6, "0"))}\n`).join("");
  const directory = await git(
    root,
    ["mktree"],
    entries(1000, (index) => `100644 blob ${blob}\tfile-${index}`),
  );
  const top = await git(
    root,
    ["mktree"],
    entries(Math.ceil(files / 1000), (index) => `040000 tree ${directory}\tdirectory-${index}`),
  );
  const commit = await git(root, ["commit-tree", top, "-m", "Many files"]);
  await git(root, ["update-ref", "HEAD", commit]);
  await git(root, ["sparse-checkout", "set", "--no-cone", "/jobs/", "/slurm-job-*"]);
  await git(root, ["read-tree", "-m", "-u", "HEAD"]);
}

/** Commits a schedule record for each of the jobs, as `schedule` does, but all at once. */
export async function recordJobs(root: string, jobs: readonly RecordedBenchJob[]): Promise<void> {
  const identity = await git(root, ["var", "GIT_COMMITTER_IDENT"]);
  const encoder = new TextEncoder();
  const stream = jobs.map((job, index) => {
    const message = scheduleMessage(root, job);
    return [
      "commit refs/heads/main",
      `committer ${identity}`,
      `data ${encoder.encode(message).length}`,
      message,
      // Later ones follow the one before, and each has its parent's tree.
      ...(index === 0 ? ["from refs/heads/main^0"] : []),
      "",
    ].join("\n");
  });
  await git(root, ["fast-import", "--quiet", "--date-format=raw"], stream.join(""));
}

function scheduleMessage(root: string, { jobId, output, log }: RecordedBenchJob): string {
  return encodeMessage({
    kind: "schedule",
    jobId,
    record: {
      chain: [],
      cmd: "sbatch --wrap=true",
      extra_inputs: [],
      inputs: [],
      outputs: [output],
      pwd: ".",
      slurm_job_id: jobId,
      datalad_slurm: {
        version: 1,
        token: `bench-${jobId}`,
        clone: CLONE,
        submitted_at: new Date().toISOString(),
        job: { name: "wrap", work_dir: root, stdout: log, stderr: log, partition: "main" },
      },
    },
  });
}

/** Writes what jobs leave: two files each, the output and the log. */
export async function writeResults(
  root: string,
  jobs: readonly RecordedBenchJob[],
): Promise<void> {
  for (const { jobId, output, log } of jobs) {
    await Deno.mkdir(`${root}/${output.slice(0, output.lastIndexOf("/"))}`, { recursive: true });
    await Deno.writeTextFile(`${root}/${output}`, `Result of job ${jobId}\n`.repeat(50));
    await Deno.writeTextFile(`${root}/${log}`, `Log of job ${jobId}\n`);
  }
}

/** Writes the third file that a finish commit holds, what Slurm knew of the job, about as long. */
export async function writeAccounts(
  root: string,
  jobs: readonly RecordedBenchJob[],
): Promise<string[]> {
  const paths: string[] = [];
  for (const { jobId, log } of jobs) {
    const path = `${log.slice(0, log.lastIndexOf("/"))}/slurm-job-${jobId}.env.json`;
    await Deno.writeTextFile(`${root}/${path}`, `{ "slurm_job_id": "${jobId}" }\n`.repeat(30));
    paths.push(path);
  }
  return paths;
}

/** Puts a fresh copy of a dataset in the place of an earlier one. */
export async function copyDataset(from: string, to: string): Promise<void> {
  await removeTree(to);
  await start(["cp", "-a", from, to]);
}

/** Removes a directory; git-annex protects its objects against that. */
export async function removeTree(path: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      await Deno.lstat(path);
    } catch {
      return;
    }
    try {
      await start(["chmod", "-R", "u+w", path], { tolerate: [1] });
      return await Deno.remove(path, { recursive: true });
    } catch (error) {
      // When the bench was interrupted, the last program may still be writing.
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Returns how many commits the branch has. */
export async function countCommits(root: string): Promise<number> {
  return Number(await git(root, ["rev-list", "--count", "HEAD"]));
}

async function initialise(root: string): Promise<void> {
  await start(["git", "init", "--quiet", "--initial-branch=main", root]);
  await git(root, ["config", "datalad-slurm.uuid", CLONE]);
}

async function git(root: string, args: readonly string[], stdin?: string): Promise<string> {
  const options = stdin === undefined ? { cwd: root } : { cwd: root, stdin };
  return text((await start(["git", ...args], options)).stdout).trim();
}
