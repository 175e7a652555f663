import { userUmask } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { run, type RunResult } from "../process/run.ts";
import { findInQueue } from "../slurm/find_in_queue.ts";
import type { SubmissionTrace } from "../slurm/recover.ts";
import { parseSubmissions, saysTestOnly, type Submission } from "../slurm/submission.ts";
import type { SubmissionEntry, SubmissionFiles } from "../store/journal.ts";
import { tagSbatch } from "../store/tagged_sbatch.ts";

/**
 * Runs the command in a session of its own, whose id is written down before it starts. Its stdout
 * and stderr go to files and not into pipes, so that they outlive us; its stdin is empty.
 */
export async function runCommand(
  entry: SubmissionEntry,
  files: SubmissionFiles,
): Promise<RunResult> {
  // Whoever takes the entry up makes the session's file first, and then we must not begin (set -C).
  const script =
    'set -C; echo $$ >"$1" && set +C && umask "$5" && exec /bin/sh -c "$4" >"$2" 2>"$3"';
  const umask = userUmask.toString(8).padStart(4, "0");
  const { session, stdout, stderr } = files;
  return await run(
    ["/bin/sh", "-c", script, "sh", session, stdout, stderr, entry.command, umask],
    {
      cwd: entry.directory,
      detached: true,
      outlivesUs: true,
      env: { PATH: tagSbatch(files.directory) ?? Deno.env.get("PATH") },
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

/** Says that no job was submitted, for sure. */
export class NotSubmitted extends ToolError {}

/** Whether a submission's command has begun, or was about to. */
export function hasBegun(files: SubmissionFiles): boolean {
  try {
    Deno.lstatSync(files.session);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Finds out which job a command has submitted; throws when it is none, or not known. */
export async function identify(
  entry: SubmissionEntry,
  result: RunResult,
  files: SubmissionFiles,
  printed: Printed,
): Promise<Submission> {
  const named = parseSubmissions(printed.stdout).at(-1);
  if (named !== undefined) return named;
  if (mayHaveSubmitted(result, printed)) {
    const search = await findInQueue(traceOf(entry, files));
    const [found] = search.found;
    if (found !== undefined) return found;
    if (!search.conclusive) throw inDoubt(entry, search.asked, printed);
  }
  throw notSubmitted(entry, result, printed);
}

/**
 * Whether a job may have been accepted although no id was printed: `sbatch -Q` says nothing, and
 * after a time-out or a signal nobody knows. A plain refusal is one.
 */
function mayHaveSubmitted(result: RunResult, { stderr }: Printed): boolean {
  if (saysTestOnly(stderr)) return false;
  return result.code === 0 || result.signal !== null ||
    // "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    /timed out|Zero Bytes were transmitted|Message (receive|send) failure/i.test(stderr);
}

/** Returns by what a submission can be found again. */
export function traceOf(entry: SubmissionEntry, files: SubmissionFiles): SubmissionTrace {
  return {
    token: entry.token,
    sessionId: Number(Deno.readTextFileSync(files.session)),
    host: entry.owner.host,
    since: new Date(entry.since),
  };
}

function inDoubt(entry: SubmissionEntry, asked: readonly string[], printed: Printed): ToolError {
  return new ToolError("external", "It is not known whether a job was submitted", {
    hint: "Do not submit it again yet: any later datalad-slurm command looks for the job again, " +
      "and `datalad-slurm recover` says what is known",
    details: [`Command: ${entry.command}`, printed.stderr.trim(), ...asked].filter((line) =>
      line !== ""
    ).join("\n"),
  });
}

function notSubmitted(entry: SubmissionEntry, result: RunResult, printed: Printed): ToolError {
  const output = [printed.stdout.trim(), printed.stderr.trim(), result.stderr.trim()]
    .filter((part) => part !== "").join("\n");
  const testOnly = saysTestOnly(printed.stderr);
  return new NotSubmitted(
    result.code === 0 ? "refused" : "external",
    testOnly ? "sbatch --test-only submits nothing" : "The command submitted no job",
    {
      hint: testOnly
        ? "Leave --test-only out to submit the job"
        : /script is empty/i.test(output)
        ? "The command gets no stdin: put the batch script into a file, or use sbatch --wrap"
        : "A job is known by what sbatch prints, such as: Submitted batch job 123",
      details: [
        `Command: ${entry.command}`,
        `Exit code: ${result.code}`,
        output === "" ? "It printed nothing" : output,
      ].join("\n"),
    },
  );
}

/** Returns warnings about jobs that a command submitted besides the one that is recorded. */
export function otherSubmissions(stdout: string, recorded: Submission): string[] {
  const others = parseSubmissions(stdout).filter(({ jobId }) => jobId !== recorded.jobId);
  if (others.length === 0) return [];
  return [
    `The command submitted more than one job; recorded is ${recorded.jobId}, the last, ` +
    `but not ${others.map(({ jobId }) => jobId).join(", ")}`,
  ];
}
