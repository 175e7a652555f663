import { userUmask } from "../dataset/dataset.ts";
import { interruption } from "../process/interruption.ts";
import { run, type RunResult } from "../process/run.ts";
import { standInPath } from "../slurm/local/choice.ts";
import { parseSubmissions } from "../slurm/submission.ts";
import type { SubmissionEntry, SubmissionFiles } from "../store/journal.ts";
import { tagSbatch } from "../store/tagged_sbatch.ts";

/**
 * Runs the command in a session of its own, whose id is written down before it starts. Its stdout
 * and stderr go to files and not into pipes, so that they outlive us; its stdin is empty. Returns
 * undefined when a signal asks us to stop while a command that has named its job goes on, as
 * `sbatch --wait` does.
 */
export async function runCommand(
  entry: SubmissionEntry,
  files: SubmissionFiles,
): Promise<RunResult | undefined> {
  const running = start(entry, files);
  let over = false;
  const stopped = new Promise<undefined>((resolve) => {
    const look = () => {
      const { submissions, bare } = parseSubmissions(readPrinted(files).stdout);
      if (submissions.length > 0 && !bare) resolve(undefined);
      else if (!over) setTimeout(look, 100);
    };
    interruption.addEventListener("abort", look, { once: true });
  });
  try {
    return await Promise.race([running, stopped]);
  } finally {
    over = true;
  }
}

async function start(entry: SubmissionEntry, files: SubmissionFiles): Promise<RunResult> {
  // Whoever takes the entry up makes the session's file first, and then we must not begin (set -C).
  const script =
    'set -C; echo $$ >"$1" && set +C && umask "$5" && exec /bin/sh -c "$4" >"$2" 2>"$3"';
  const umask = userUmask.toString(8).padStart(4, "0");
  const { session, stdout, stderr } = files;
  const path = entry.cluster === undefined
    ? Deno.env.get("PATH") ?? ""
    : await standInPath(entry.cluster);
  return await run(
    ["/bin/sh", "-c", script, "sh", session, stdout, stderr, entry.command, umask],
    {
      cwd: entry.directory,
      detached: true,
      outlivesUs: true,
      env: { PATH: tagSbatch(files.directory, path) ?? path },
    },
  );
}

/** What a submitting command printed. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** Returns what a submitting command has printed so far. */
export function readPrinted(files: SubmissionFiles): Printed {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  };
  return { stdout: read(files.stdout), stderr: read(files.stderr) };
}

/** Whether a submission's command has begun, or was about to. */
export function hasBegun(files: SubmissionFiles): boolean {
  try {
    Deno.lstatSync(files.session);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
