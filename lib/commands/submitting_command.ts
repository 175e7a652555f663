import { userUmask } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { interruption } from "../process/interruption.ts";
import { converse, run, type RunResult } from "../process/run.ts";
import { quoteWord } from "../record/command.ts";
import { standInPath } from "../slurm/local/choice.ts";
import { parseSubmissions } from "../slurm/submission.ts";
import type { SubmissionEntry, SubmissionFiles } from "../store/journal.ts";
import { tagSbatch } from "../store/tagged_sbatch.ts";

/** How a submitting command ended. */
export type Ended = Pick<RunResult, "code" | "signal" | "stderr">;

/**
 * Runs the command in a session of its own, whose id is written down before it starts. Its stdout
 * and stderr go to files and not into pipes, so that they outlive us; its stdin is empty. Returns
 * undefined when a signal asks us to stop while a command that has named its job goes on, as
 * `sbatch --wait` does.
 */
export async function runCommand(
  entry: SubmissionEntry,
  files: SubmissionFiles,
): Promise<Ended | undefined> {
  const script = await submittingScript(entry, files, { setsid: false });
  const running = run(["/bin/sh", "-c", script], {
    cwd: entry.directory,
    detached: true,
    outlivesUs: true,
  });
  return await untilNamed(running, files);
}

/** Waits for a command; after a signal only until it has named its job. */
async function untilNamed(
  running: Promise<Ended>,
  files: SubmissionFiles,
): Promise<Ended | undefined> {
  let over = false;
  const { promise: named, resolve } = Promise.withResolvers<undefined>();
  const look = () => {
    const { submissions, bare } = parseSubmissions(readPrinted(files).stdout);
    if (submissions.length > 0 && !bare) resolve(undefined);
    else if (!over) setTimeout(look, 100);
  };
  interruption.addEventListener("abort", look, { once: true });
  try {
    return await Promise.race([running, named]);
  } finally {
    over = true;
    interruption.removeEventListener("abort", look);
  }
}

/** Variables of the shell: the command must see those of the user's environment as they are. */
const [OWN_ID, OWN_REST] = ["datalad_slurm_id", "datalad_slurm_rest"];
const TOKEN = "datalad_slurm_token";

/** Returns what a shell runs that leads its session, or with `setsid` will be the leader of one. */
async function submittingScript(
  entry: SubmissionEntry,
  files: SubmissionFiles,
  options: { readonly setsid: boolean },
): Promise<string> {
  const { session, stdout, stderr, directory } = files;
  const path = entry.cluster === undefined
    ? Deno.env.get("PATH") ?? ""
    : await standInPath(entry.cluster);
  return [
    // In a subshell $$ is not its own number.
    ...options.setsid ? [`read -r ${OWN_ID} ${OWN_REST} </proc/self/stat || exit 1`] : [],
    // Whoever takes the entry up makes the session's file first, and then we must not begin (set -C).
    `set -C; echo "$${options.setsid ? OWN_ID : "$"}" >${quoteWord(session)} || exit 1; set +C`,
    ...options.setsid ? [`unset ${OWN_ID} ${OWN_REST}`] : [],
    `umask ${userUmask.toString(8).padStart(4, "0")}`,
    `exec >${quoteWord(stdout)} 2>${quoteWord(stderr)}`,
    ...tagSbatch(directory, path, entry.command, options),
    "",
  ].join("\n");
}

/**
 * Runs commands as {@link runCommand} does, one after the other and cheaper: a shell starts them,
 * since to start a program costs this process, which is large, several times as much, and its
 * subshells become the commands.
 */
export interface CommandRunner {
  run(entry: SubmissionEntry, files: SubmissionFiles): Promise<Ended | undefined>;
  /** Ends the shell; a command that is at work comes to its end. */
  end(): Promise<void>;
}

/** Starts a shell to run commands whose journal entries are in one directory. */
export function startRunner(journal: string): CommandRunner {
  // setsid (util-linux) makes no process of its own here: the shell's children lead no group.
  const loop = `while read -r ${TOKEN}; do\n` +
    `    (. "$0/$${TOKEN}/run") </dev/null >/dev/null 2>"$0/$${TOKEN}/said"\n` +
    '    echo "$?"\n' +
    "done";
  const shell = converse(["/bin/sh", "-c", loop, journal], {
    cwd: "/",
    detached: true,
    outlivesUs: true,
  });
  const answers = shell.lines[Symbol.asyncIterator]();
  let isBusy = false;
  const runOne = async (entry: SubmissionEntry, files: SubmissionFiles): Promise<Ended> => {
    const script = await submittingScript(entry, files, { setsid: true });
    Deno.writeTextFileSync(
      `${files.directory}/run`,
      `cd ${quoteWord(entry.directory)} || exit 1\n${script}`,
    );
    isBusy = true;
    await shell.send(`${entry.token}\n`);
    const { value, done } = await answers.next();
    isBusy = false;
    if (done === true) {
      throw new ToolError("external", "The shell that runs the submissions has ended", {
        hint: "See where things stand with: datalad-slurm status",
      });
    }
    const stderr = Deno.readTextFileSync(`${files.directory}/said`);
    // It tells of a signal by a code above 128.
    return { code: Number(value), signal: null, stderr };
  };
  return {
    run: (entry, files) => untilNamed(runOne(entry, files), files),
    async end() {
      const ended = shell.end();
      if (!isBusy) await ended;
    },
  };
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
