import * as z from "zod/mini";

/** The version of the `datalad_slurm` object that this tool writes, and the newest it can read. */
export const RECORD_VERSION = 1;

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Slurm's notation without steps: `0-4,7`. */
const INDICES = /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;

/**
 * Builds the schemas of records. A function, and called at the first record only: to build them and
 * to use them once takes milliseconds, which a command that reads no record need not spend. Each
 * kind of zod schema and each schema costs (zod 4.6.7: 0.2 ms and 0.05 ms): hence so few of them.
 */
function buildShapes() {
  /** Text that may go to a program as an argument, where NUL cannot be passed on. */
  const text = textLike(/^[^\0]*$/, "is not text without NUL");
  const path = textLike(/^[^\0]+$/, "is not a path");
  const objectId = textLike(OBJECT_ID, "is not the full id of a git object");
  const identifier = textLike(/^\w[\w.:-]{0,254}$/, "is not an identifier");
  const paths = z.array(path, { error: "is not a list" });
  const object = { error: "is not an object" };
  const optionalText = z.optional(text);
  const optionalPaths = z.optional(paths);
  const optionalTexts = z.optional(
    custom<Record<string, string>>(isTextByPath, "is not texts by path"),
  );
  const optionalIdentifier = z.optional(identifier);
  const optionalCount = z.optional(custom<number>(Number.isFinite, "is not a number"));
  const optionalIndices = z.optional(textLike(INDICES, "is not a list of task indices"));

  const submittedJob = z.looseObject({
    name: optionalText,
    work_dir: optionalText,
    /** File name patterns of Slurm, not expanded. */
    stdout: optionalText,
    stderr: optionalText,
    /** The index specification of an array, such as `0-4` or `0-4%2`. */
    array: optionalText,
    partition: optionalText,
    qos: optionalText,
    submit_time: optionalText,
    dependency: optionalText,
    time_limit_seconds: optionalCount,
    /** What was requested, as Slurm writes it: `cpu=1,mem=1M,node=1,billing=1`. */
    requested: optionalText,
    /** How many components a heterogeneous job has. */
    components: optionalCount,
  }, object);

  const toolPart = z.looseObject({
    version: custom<typeof RECORD_VERSION>(
      (value) => value === RECORD_VERSION,
      `is not ${RECORD_VERSION}`,
    ),
    /** What the submission is known by; absent when the job was submitted by another program. */
    token: optionalIdentifier,
    clone: optionalIdentifier,
    /** The name of the linked work tree that the job was submitted from. */
    worktree: z.optional(path),
    submitted_at: z.optional(textLike(INSTANT, "is not a time in UTC")),
    cluster: optionalText,
    /** What the line of a batch is known by that the job comes from. */
    batch: optionalIdentifier,
    /** That a job of its own finishes it, and what that does about a failed one. */
    auto_finish: optionalIdentifier,
    job: z.optional(submittedJob),
    /**
     * The batch script as it was at the submission: git's object id of its content, and how it differs
     * from what the commit has: `modified`, `new`, or `outside` the dataset.
     */
    script: z.optional(
      z.looseObject({ path, object: path, differs: optionalText }, object),
    ),
    /**
     * The inputs as they were at the submission, by path: git's object id of a file's content or of
     * a directory's tree, an annex key, `-> TARGET` for a link, size and time of another large file.
     */
    inputs: optionalTexts,
    /** How inputs differ from what the commit has, by path: `modified`, `new`, `deleted`. */
    differs: optionalTexts,
    /** Script and inputs that were not the same any more when the job ran, as far as can be told. */
    changed: optionalPaths,
    /** The command that was run, where it differs from `cmd`; the root stands as `{dspath}`. */
    command: optionalText,
    /** The commit that a finish answers. */
    schedule_commit: z.optional(objectId),
    /** Slurm's own word, such as `COMPLETED`. */
    state: optionalText,
    /** Of a finish of an array in parts: the tasks of this commit, as `0-4,7`. */
    array_tasks: optionalIndices,
    /** Those of them that were closed without their outputs. */
    closed_tasks: optionalIndices,
    /** Whether the whole job was closed without its outputs, since it had failed. */
    closed: z.optional(custom<boolean>((value) => typeof value === "boolean", "is not a boolean")),
    /** The tasks by Slurm's word for their state: of a part its own, else all of the array. */
    task_states: z.optional(
      custom<Record<string, string>>(isIndicesByState, "is not task indices by state"),
    ),
    /** Of a job that repeats the tasks of another one that did not complete: these tasks. */
    failed_tasks: optionalIndices,
    /** Whether that is the user's word, since Slurm had none. */
    assumed: z.optional(custom<boolean>((value) => typeof value === "boolean", "is not a boolean")),
    /** The tasks of an array of which that is so. */
    assumed_tasks: optionalIndices,
    missing: optionalPaths,
    ignored: optionalPaths,
    deleted: optionalPaths,
    accounting: z.optional(custom<Record<string, unknown>>(isMap, "is not an object")),
    /** The tasks of an array, by index. */
    tasks: z.optional(custom<Record<string, TaskPart>>(isTaskByIndex, "is not states by task")),
  }, object);

  const jobRecord = z.looseObject({
    chain: z.array(objectId, { error: "is not a list" }),
    cmd: custom<string | string[]>(isCommand, "is neither text nor a list of texts"),
    dsid: optionalText,
    extra_inputs: paths,
    inputs: paths,
    outputs: paths,
    pwd: path,
    slurm_job_id: textLike(/^[1-9]\d{0,18}$/, "is not the id of a Slurm job"),
    slurm_run_outputs: optionalPaths,
    alt_dir: z.optional(
      custom<string | null>((value) => value === null || isText(value), "is not text"),
    ),
    exit: z.optional(
      custom<number | null>(
        (value) => value === null || typeof value === "number",
        "is not a number",
      ),
    ),
    datalad_slurm: z.optional(toolPart),
  }, object);

  return { jobRecord, toolPart, submittedJob };
}

type Shapes = ReturnType<typeof buildShapes>;

let shapes: Shapes | undefined;

/** Returns the schema of a record in its present form. */
export function jobRecordShape(): Shapes["jobRecord"] {
  shapes ??= buildShapes();
  return shapes.jobRecord;
}

/** What a finish says of one task of an array; further keys are handed on. */
export interface TaskPart {
  readonly state: string;
  readonly [key: string]: unknown;
}

/**
 * What a commit says of one job. Keys that are not named here are handed on as they are, also those
 * of `datalad_slurm` and below.
 */
export type JobRecord = z.infer<Shapes["jobRecord"]>;

/** What this tool adds to the record, under the key `datalad_slurm`. */
export type ToolPart = z.infer<Shapes["toolPart"]>;

/** What is known of a job from its submission: names, directory, file name patterns. */
export type SubmittedJob = z.infer<Shapes["submittedJob"]>;

/** A record as this tool writes it. */
export type WrittenRecord = JobRecord & { readonly datalad_slurm: ToolPart };

function custom<T>(isValid: (value: unknown) => boolean, error: string) {
  return z.custom<T>(isValid, { error });
}

function textLike(pattern: RegExp, error: string) {
  return custom<string>((value) => typeof value === "string" && pattern.test(value), error);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && !value.includes("\0");
}

function isCommand(value: unknown): boolean {
  return isText(value) || (Array.isArray(value) && value.length > 0 && value.every(isText));
}

function isTextByPath(value: unknown): boolean {
  return isMap(value) &&
    Object.entries(value).every(([path, text]) => path !== "" && isText(text));
}

function isIndicesByState(value: unknown): boolean {
  return isMap(value) &&
    Object.values(value).every((list) => typeof list === "string" && INDICES.test(list));
}

function isTaskByIndex(value: unknown): boolean {
  return isMap(value) &&
    Object.values(value).every((task) => isMap(task) && isText(task["state"]));
}

/** `z.record` would pass over a member named `__proto__`, and a file may be called that. */
function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
