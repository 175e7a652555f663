import { type Dataset, refuseAdjustedBranch } from "../dataset/dataset.ts";
import { expandPathOrKeep } from "../dataset/globs.ts";
import { expandShown, namesTask } from "../dataset/task_paths.ts";
import { datasetPath, directoryBehind, outputPaths, relativePath } from "../dataset/paths.ts";
import { ToolError } from "../errors.ts";
import { isThere } from "../files.ts";
import { requireIdentity } from "../git/identity.ts";
import { fillPlaceholders, joinCommand, quoteWord } from "../record/command.ts";
import { absolutePath, joinPath, pathBelow } from "../paths.ts";
import { readSbatchCall } from "../slurm/sbatch_call.ts";
import { isSbatchWrapped } from "../store/tagged_sbatch.ts";
import { resolveAltDir } from "./alt_dir.ts";
import type { AutoFinish } from "./auto_finish.ts";
import type { LockPatience } from "./locked.ts";
import { installNeeded, refuseMissingInputs } from "./prepare_inputs.ts";
import { openTakingUp } from "./take_up.ts";
import { refuseConflicts } from "./conflicts.ts";
import { submit, type SubmittedJob } from "./submission.ts";
import type { Preparation, RecordTemplate, SubmissionRequest } from "./submission_request.ts";

/** One job that `schedule` is to submit. */
export interface JobOptions {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly message?: string | undefined;
  readonly preparation: Preparation;
  /** A directory outside the dataset that the job is to run in. */
  readonly altDir?: string | undefined;
  /** Waits for outputs that an open job holds, instead of refusing. */
  readonly waitForOutputs: boolean;
  /** Which globs are recorded expanded, as they are now. */
  readonly expand?: "inputs" | "outputs" | "both" | undefined;
  /** How the job is finished by a job of its own, where that is asked for. */
  readonly autoFinish?: AutoFinish | undefined;
  /** The command's words; one word is a command line for the shell. */
  readonly command: readonly string[];
}

/** What `schedule` is asked to do. */
export interface ScheduleOptions extends JobOptions {
  readonly dataset?: string | undefined;
}

/** What `schedule` would submit. */
export interface SchedulePlan {
  readonly dataset: Dataset;
  readonly request: SubmissionRequest;
}

/** Submits a job and records it. Throws a {@link ToolError} when it must not be submitted. */
export async function schedule(
  options: ScheduleOptions,
  patience: LockPatience,
): Promise<SubmittedJob> {
  let plan = await planSubmission(options, patience);
  if (await installNeeded(plan.dataset, plan.request)) {
    plan = await planSubmission(options, patience);
  }
  return await submit(plan.dataset, plan.request, patience);
}

/**
 * Checks all that can be refused before anything is submitted, and changes nothing. Whether the
 * content of inputs can be had is not known before it is fetched.
 */
export async function planSchedule(
  options: ScheduleOptions,
  patience: LockPatience,
): Promise<SchedulePlan> {
  const plan = await planSubmission(options, patience);
  await refuseMissingInputs(plan.dataset, plan.request);
  return plan;
}

/** Returns the plan before its inputs are looked at: a submission does so as it prepares them. */
async function planSubmission(
  options: ScheduleOptions,
  patience: LockPatience,
): Promise<SchedulePlan> {
  const dataset = await openForSubmission(options.dataset, patience);
  await checkAutoFinish(dataset, options.autoFinish);
  const record = planRecord(dataset, options);
  if (!options.waitForOutputs) await refuseConflicts(dataset, record.outputs);
  return { dataset, request: planRequest(dataset, record, options) };
}

/** Throws a {@link ToolError} when a finishing job's options are not understood. */
export async function checkAutoFinish(
  dataset: Dataset,
  autoFinish: AutoFinish | undefined,
): Promise<void> {
  if (autoFinish === undefined) return;
  const { finisherOptions } = await import("./auto_finish.ts");
  finisherOptions(dataset, autoFinish);
}

/** Opens a dataset to submit jobs from. Throws a {@link ToolError} where none could be recorded. */
export async function openForSubmission(
  directory: string | undefined,
  patience: LockPatience,
): Promise<Dataset> {
  const dataset = await openTakingUp(directory, patience);
  refuseAdjustedBranch(dataset);
  await requireIdentity(dataset.root, dataset.configuration);
  return dataset;
}

/** Returns the record of a job to be submitted; throws a {@link ToolError} for what is wrong. */
export function planRecord(dataset: Dataset, options: JobOptions): RecordTemplate {
  if (options.outputs.length === 0) {
    const isBehind = options.command.some((word) => /^(?:-o|--output(?:=|$))/.test(word));
    throw new ToolError("usage", "No output is declared", {
      hint: isBehind
        ? "What stands behind the first word of the command goes to it; outputs are declared " +
          "before: schedule -o PATH … COMMAND"
        : "Name what the job will write: schedule -o PATH … COMMAND",
    });
  }
  const expands = (what: "inputs" | "outputs", paths: readonly string[]) =>
    options.expand === what || options.expand === "both"
      ? paths.flatMap((path) =>
        what === "outputs" && path.includes("%") ? [path] : expandPathOrKeep(dataset.root, path)
      )
      : [...paths];
  const { root, pwd } = dataset;
  // In the order given, which {outputs} and {outputs[0]} show.
  const outputs = expands(
    "outputs",
    options.outputs.map((path) => datasetPath(root, pwd, path, "The output")),
  ).flatMap((path) => outputPaths(root, ".", path, "The output"));
  const inputs = expands(
    "inputs",
    options.inputs.map((path) => datasetPath(root, pwd, path, "The input")),
  );
  const cmd = joinCommand(options.command);
  if (cmd.trim() === "") {
    throw new ToolError("usage", "The command is empty", { hint: "Such as: sbatch job.sh" });
  }
  return {
    chain: [],
    cmd,
    ...(dataset.id === undefined ? {} : { dsid: dataset.id }),
    extra_inputs: [],
    inputs,
    outputs,
    pwd: dataset.pwd,
    ...(options.altDir === undefined
      ? {}
      : { alt_dir: resolveAltDir(dataset.root, options.altDir) }),
  };
}

/** Returns the request to submit a job; throws a {@link ToolError} for an unknown placeholder. */
export function planRequest(
  dataset: Dataset,
  record: RecordTemplate,
  { command: words, message, preparation, waitForOutputs, autoFinish }: JobOptions,
): SubmissionRequest {
  const command = expandCommand(dataset, record);
  requireScript(dataset, record, command, "Paths in the command count from the current directory");
  const scripts = namedFiles(dataset.root, record.pwd, words);
  return {
    kind: "schedule",
    record,
    command,
    message,
    preparation,
    scripts,
    waitForOutputs,
    autoFinish,
    tasks: record.outputs.some(namesTask) ? givenArray(command) : undefined,
  };
}

/**
 * Throws a {@link ToolError} when sbatch would not find the batch script that a command line names;
 * one without a slash may be on PATH. What is not plainly one call of sbatch is left to run.
 */
export function requireScript(
  { root }: Dataset,
  { pwd, alt_dir: altDir }: RecordTemplate,
  command: string,
  hint: string,
): void {
  const read = readSbatchCall(command);
  const script = "call" in read ? read.call.script : undefined;
  if (script === undefined) return;
  const own = [root, ...altDir === undefined ? [] : [altDir]].map((base) => joinPath(base, pwd));
  const path = script.includes("/") ? [] : (Deno.env.get("PATH") ?? "").split(":");
  if ([...own, ...path].some((place) => isThere(absolutePath(script, place)))) return;
  // In a subdataset that is yet to be installed.
  if (own.some((place) => isInEmptyDirectory(absolutePath(script, place)))) return;
  if (isSbatchWrapped()) return;
  throw new ToolError("refused", `There is no batch script ${JSON.stringify(script)}`, { hint });
}

/** Whether what a path is below ends with an empty directory. */
function isInEmptyDirectory(path: string): boolean {
  for (let at = path; at !== "";) {
    at = at.slice(0, at.lastIndexOf("/"));
    const names = namesIn(at);
    if (names !== undefined) return names === 0;
  }
  return false;
}

function namesIn(directory: string): number | undefined {
  try {
    return [...Deno.readDirSync(directory)].length;
  } catch {
    return undefined;
  }
}

/** Returns the array that a command line submits; undefined where the script may name it. */
function givenArray(command: string): string | undefined {
  const read = readSbatchCall(command);
  return "call" in read ? read.call.array : undefined;
}

/** Returns the files of the dataset that words of a command name, relative to the root. */
export function namedFiles(root: string, pwd: string, words: readonly string[]): string[] {
  // A command line for the shell is looked at word by word as well.
  const [only] = words;
  const all = words.length === 1 && only !== undefined ? only.split(/\s+/) : words;
  return all.flatMap((word) => {
    const path = pathBelow(root, absolutePath(word, absolutePath(pwd, root)));
    if (path === undefined || path === "." || word === "") return [];
    try {
      return Deno.statSync(`${root}/${path}`).isFile ? [path] : [];
    } catch {
      return [];
    }
  });
}

/** Returns a record's command line with its placeholders filled in for this dataset. */
export function expandCommand(dataset: Dataset, record: RecordTemplate): string {
  const fromPwd = (
    paths: readonly string[],
    expand: (root: string, path: string) => string[],
  ) =>
    paths.flatMap((path) => expand(dataset.root, path)).filter((path) => path !== ".")
      .map((path) => quoteWord(relativePath(record.pwd, path)));
  // A link to a directory that is an output itself, see outputPaths().
  const isLinkBeside = (path: string) => {
    const inside = directoryBehind(dataset.root, path);
    return inside !== undefined && record.outputs.includes(inside);
  };
  const prefix = "datalad.run.substitutions.";
  const command = typeof record.cmd === "string" ? record.cmd : joinCommand(record.cmd);
  return fillPlaceholders(
    command,
    new Map<string, string | readonly string[]>([
      ...dataset.configuration.entries(prefix).map(([key, value]) =>
        [key.slice(prefix.length), value] as const
      ),
      ["pwd", joinPath(record.alt_dir ?? dataset.root, record.pwd)],
      ["dspath", record.alt_dir ?? dataset.root],
      [
        "tmpdir",
        command.includes("{tmpdir}") ? Deno.makeTempDirSync({ prefix: "datalad-run-" }) : "",
      ],
      ["inputs", fromPwd(record.inputs, expandPathOrKeep)],
      ["outputs", fromPwd(record.outputs.filter((path) => !isLinkBeside(path)), expandShown)],
    ]),
  );
}
