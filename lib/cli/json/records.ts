/**
 * What `--json` prints: one object a line. Other modules import types from here and nothing else,
 * so that no schema is built when the tool runs; `make schema` writes the schemas into
 * `lib/cli/json/output.schema.json`, and tests hold real output to them.
 *
 * Fields that DataLad's result records have (`action`, `status`, `path`, `type`, `refds`,
 * `message`) mean what they mean there. Within a version fields are only added.
 */
import * as z from "zod/mini";

/** Told in the schema; a version with another meaning or without a field gets the next number. */
export const OUTPUT_VERSION = 1;

const text = z.string();
const texts = z.array(text);
const count = z.int().check(z.nonnegative());

const status = z.enum(["ok", "notneeded", "impossible", "error"]).check(z.describe(
  "`ok`: done; `notneeded`: nothing was to be done; `impossible`: it cannot be done as things " +
    "stand; `error`: it has failed",
));
const message = z.optional(text.check(z.describe("What happened, for people")));
const time = z.iso.datetime();
const optionalTime = z.optional(time);
const jobId = text.check(z.describe("The id of the Slurm job; of an array the master's"));
const commit = text.check(z.describe("The full id of a commit"));
const cluster = z.optional(text.check(z.describe("The cluster, where sbatch has named one")));
const state = text.check(z.describe("Slurm's word, such as `COMPLETED`; `UNKNOWN` without answer"));

/** What a result is about; absolute paths. */
const ofDataset = {
  type: z.literal("dataset"),
  path: text.check(z.describe("The root of the dataset")),
  refds: text.check(z.describe("The root of the dataset")),
};

const cmd = z.union([text, texts]).check(z.describe("The command as it is recorded"));
const submission = {
  pwd: text.check(z.describe("The directory it runs in, relative to the root")),
  inputs: texts.check(z.describe("Relative to the root")),
  outputs: texts.check(z.describe("Relative to the root")),
};

const reason = z.object({ path: text, reason: text });

const taskGroup = z.object({
  state,
  phase: text,
  indices: text.check(z.describe("The indices in Slurm's notation: `0-4,7`")),
  count,
});

const arrayTasks = z.optional(text.check(z.describe(
  "Of an array: the tasks that this is about, in Slurm's notation, where it is not about all",
)));

const difference = z.enum(["modified", "new", "deleted", "outside"]).check(z.describe(
  "Against the commit that HEAD names; `outside`: a script outside the dataset",
));

const line = z.optional(z.int().check(z.describe("The line of the batch file")));

const finishingJob = z.optional(
  z.object({
    slurm_job_id: z.optional(jobId),
    state: z.optional(state),
    log: z.optional(text.check(z.describe("The absolute path of its log"))),
    message: z.optional(text.check(z.describe("Why it will not finish the job"))),
  }).check(z.describe("The job that finishes it, with --auto-finish")),
);

const submitted = z.object({
  action: z.enum(["schedule", "reschedule"]),
  status: z.enum(["ok", "notneeded"]).check(
    z.describe("`notneeded`: a job of a batch that was recorded before"),
  ),
  ...ofDataset,
  line,
  slurm_job_id: jobId,
  cluster,
  commit,
  original_slurm_job_id: z.optional(jobId),
  original_commit: z.optional(commit),
  auto_finish: finishingJob,
  warnings: z.optional(texts.check(z.describe("What stderr warns of, in the same words"))),
}).check(z.meta({
  id: "submitted",
  description: "schedule, reschedule: a job that was submitted and recorded",
}));

const planned = z.object({
  action: z.enum(["schedule", "reschedule"]),
  status: z.literal("ok"),
  ...ofDataset,
  line,
  dry_run: z.literal(true),
  cmd,
  command: text.check(z.describe("The command line for the shell, placeholders filled in")),
  ...submission,
  original_slurm_job_id: z.optional(jobId),
  original_commit: z.optional(commit),
  differs: z.optional(
    z.record(text, difference).check(
      z.describe("Scripts and inputs that are not as they are committed, by path"),
    ),
  ),
}).check(z.meta({
  id: "planned",
  description: "schedule --dry-run, reschedule --report: a job that would be submitted",
}));

const passedOver = z.object({
  action: z.literal("reschedule"),
  status: z.enum(["notneeded", "impossible"]).check(
    z.describe("`notneeded`: another job of those that are asked for is in its place"),
  ),
  ...ofDataset,
  message: text,
  original_slurm_job_id: jobId,
  original_commit: commit,
}).check(z.meta({
  id: "passed_over",
  description: "reschedule --since: a job that is not submitted once more",
}));

const script = z.object({
  action: z.literal("reschedule"),
  status: z.literal("ok"),
  type: z.optional(z.literal("file")),
  path: z.optional(text.check(z.describe("The file that was written"))),
  refds: text,
  script: text,
}).check(z.meta({ id: "script", description: "reschedule --script: the script" }));

const leftBehind = z.optional(
  z.object({
    log: z.optional(text.check(z.describe("The log file that was written last"))),
    log_written: optionalTime,
    last_words: z.optional(text.check(z.describe("Slurm's last line in that log"))),
    outputs_there: texts,
    outputs_not_there: texts,
  }).check(z.describe(
    "What a job whose state is not known has left; paths are relative to where it ran",
  )),
);

const requeuedAfter = z.optional(
  text.check(z.describe("Slurm's word for the end of the run before, of a job that was requeued")),
);

const openJob = z.object({
  action: z.literal("status"),
  status: z.literal("ok"),
  ...ofDataset,
  message: z.optional(text.check(z.describe(
    "Slurm's reason for a job that waits, or why the state is not known",
  ))),
  slurm_job_id: jobId,
  cluster,
  commit,
  state,
  phase: z.enum(["pending", "running", "completed", "failed", "unknown", "elsewhere"]).check(
    z.describe("`elsewhere`: a job of another clone, about which Slurm is not asked"),
  ),
  hint: z.optional(text.check(z.describe("What to do about a job that does not go on by itself"))),
  requeued_after: requeuedAfter,
  exit_code: z.optional(z.int()),
  signal: z.optional(z.int()),
  submit: optionalTime,
  start: optionalTime,
  end: optionalTime,
  tasks: z.optional(
    z.array(taskGroup).check(z.describe("Of an array: the tasks that are open, by state")),
  ),
  finished_tasks: z.optional(
    z.record(text, text).check(
      z.describe("Of an array that is finished in part: the finished tasks, by state"),
    ),
  ),
  left_behind: leftBehind,
  branch: z.optional(text.check(z.describe("The branch that holds its results already"))),
  auto_finish: finishingJob,
  cmd,
  ...submission,
}).check(z.meta({ id: "open_job", description: "status, finish --list-open-jobs: an open job" }));

const changedFile = z.object({
  path: text.check(z.describe("Relative to the root")),
  role: z.enum(["script", "input"]),
  changed_at: optionalTime.check(
    z.describe("By the file's own times; absent when it is gone, or these do not tell"),
  ),
});

const finished = z.object({
  action: z.literal("finish"),
  status,
  ...ofDataset,
  message,
  outcome: z.enum([
    "finished",
    "closed",
    "live",
    "failed",
    "not added",
    "unknown",
    "elsewhere",
    "on a branch",
    "settled",
    "not in history",
  ]).check(z.describe(
    "`finished` and `closed` jobs have a commit now; the others are left open, but for `settled` " +
      "ones, which another process has finished meanwhile",
  )),
  slurm_job_id: jobId,
  array_tasks: arrayTasks,
  schedule_commit: commit,
  state,
  assumed: z.optional(
    z.boolean().check(z.describe("Whether the state is the user's word, since Slurm has none")),
  ),
  assumed_tasks: z.optional(
    text.check(z.describe("Of an array: the tasks of which it is, in Slurm's notation")),
  ),
  requeued_after: requeuedAfter,
  exit_code: z.optional(z.int()),
  signal: z.optional(z.int()),
  commit: z.optional(commit),
  hint: z.optional(text.check(z.describe(
    "What a job needs that ran out of time or memory, or that does not go on by itself",
  ))),
  left_behind: leftBehind,
  logs: z.optional(texts.check(z.describe(
    "Of a failed job that is left open: its logs that are there; of what was closed without " +
      "outputs: those that stay untracked. Relative to the root, or absolute where the job ran " +
      "outside the dataset",
  ))),
  notes: z.optional(
    z.object({
      missing: texts.check(z.describe("Outputs and logs that are not there")),
      ignored: texts.check(z.describe("Outputs that git ignores, and that were not committed")),
      deleted: texts.check(z.describe("Outputs that the job has deleted")),
      changed: z.array(changedFile).check(
        z.describe("What is not as it was at the submission any more"),
      ),
      impossible: z.array(reason).check(z.describe("What git cannot hold or must not touch")),
      failed: z.array(reason).check(z.describe("What git or git-annex refused to take in")),
    }).check(z.describe("What was found of the job's files; relative to the root")),
  ),
}).check(
  z.meta({ id: "finished", description: "finish: what became of a job, or of tasks of an array" }),
);

const notOpen = z.object({
  action: z.enum(["status", "finish"]),
  status: z.literal("impossible"),
  refds: text,
  message: text,
  hint: z.optional(text.check(z.describe("What to do"))),
  target: text.check(z.describe("The commit or job id as it was given")),
}).check(z.meta({ id: "not_open", description: "status, finish: a name that no open job has" }));

const logged = z.object({
  action: z.literal("log"),
  status: z.literal("ok"),
  ...ofDataset,
  message: z.optional(text.check(z.describe("The user's own words in the commit"))),
  kind: z.enum(["schedule", "reschedule", "part", "finish", "run"]).check(z.describe(
    "What the commit is: `part`: of some tasks of an array; `run`: of an older form of record",
  )),
  slurm_job_id: jobId,
  array_tasks: arrayTasks,
  commit,
  committed: time.check(z.describe("When the commit was made")),
  schedule_commit: z.optional(commit),
  open: z.boolean().check(z.describe("Whether no commit of the history answers the submission")),
  state: z.optional(text.check(z.describe("Slurm's word, or that of an older form of record"))),
  submit: optionalTime,
  start: optionalTime,
  end: optionalTime,
  elapsed_seconds: z.optional(z.number()),
  cmd,
  ...submission,
  chain: texts.check(z.describe("The commits that a job descends from, the oldest first")),
  original_slurm_job_id: z.optional(jobId),
  original_commit: z.optional(commit),
  changed: z.optional(
    z.boolean().check(z.describe(
      "With PATH: whether the commit changes it; otherwise it is just among the outputs",
    )),
  ),
}).check(z.meta({ id: "logged", description: "log: a recorded job" }));

const optionalTexts = z.optional(texts);
const textByName = z.record(text, text);

const shown = z.object({
  action: z.literal("show"),
  status: z.literal("ok"),
  ...ofDataset,
  message: z.optional(text.check(z.describe("The user's own words in the commit"))),
  slurm_job_id: jobId,
  cluster,
  state: z.optional(text.check(z.describe("Slurm's word, or that of an older form of record"))),
  phase: z.enum(["pending", "running", "completed", "failed", "unknown", "elsewhere"]),
  open: z.boolean().check(z.describe("Whether no commit of the history answers the submission")),
  reason: z.optional(text),
  exit_code: z.optional(z.int()),
  signal: z.optional(z.int()),
  schedule_commit: z.optional(commit),
  part_commits: texts.check(z.describe("Commits of some of an array's tasks")),
  finish_commit: z.optional(commit),
  cmd,
  ...submission,
  logs: texts.check(z.describe(
    "Log files and the accounting, relative to the root, or absolute outside the dataset",
  )),
  submit: optionalTime,
  start: optionalTime,
  end: optionalTime,
  accounting: z.optional(
    z.record(text, z.unknown()).check(
      z.describe("What Slurm's accounting knows, as it is in the record"),
    ),
  ),
  task_states: z.optional(textByName.check(z.describe("Of an array: its tasks, by state"))),
  job: z.optional(
    z.record(text, z.unknown()).check(
      z.describe("What Slurm knew of the job when it was submitted"),
    ),
  ),
  script: z.optional(z.object({ path: text, object: text, differs: z.optional(text) })),
  pinned_inputs: z.optional(textByName.check(
    z.describe("What the inputs were at the submission: object ids, annex keys, by path"),
  )),
  differs: z.optional(textByName.check(
    z.describe("How inputs differed from what was committed then, by path"),
  )),
  changed: z.optional(
    z.array(changedFile).check(
      z.describe("What is not as it was submitted any more; absent where that is not known"),
    ),
  ),
  auto_finish: finishingJob,
  missing: optionalTexts,
  ignored: optionalTexts,
  deleted: optionalTexts,
  chain: z.array(z.object({ commit, slurm_job_id: z.optional(jobId) })).check(
    z.describe("What the job descends from, the oldest first"),
  ),
  hint: z.optional(text.check(z.describe("What a job needs that ran out of time or memory"))),
}).check(z.meta({ id: "shown", description: "show: all that is known of one recorded job" }));

const otherChange = z.object({
  action: z.literal("log"),
  status: z.literal("notneeded"),
  ...ofDataset,
  commit,
  message: text,
}).check(z.meta({
  id: "other_change",
  description: "log PATH: the last change of what was asked for, when no job has made it",
}));

const takenUp = z.object({
  action: z.literal("recover"),
  status,
  ...ofDataset,
  message: text,
  outcome: z.enum(["recorded", "dropped", "in doubt", "at work"]),
  token: text.check(z.describe("What the operation is known by in the journal")),
  slurm_job_id: z.optional(jobId),
  commit: z.optional(commit),
  details: texts,
}).check(z.meta({
  id: "taken_up",
  description: "recover, status: an operation that another command has left unfinished",
}));

const released = z.object({
  action: z.enum(["release", "reserve"]),
  status: z.literal("ok"),
  path: text,
  refds: text,
  dry_run: z.optional(z.literal(true)),
}).check(z.meta({
  id: "released",
  description:
    "recover: an output that was reserved for a job that no branch has, or one of an open job that " +
    "had lost its reservation",
}));

const holder = z.object({
  token: text,
  phase: text.check(z.describe("What it does; `waiting` while it does not hold the lock")),
  command: z.optional(text),
  user: z.optional(text),
  host: z.optional(text),
  pid: z.optional(z.int()),
  slurm_job_id: z.optional(jobId),
  since: optionalTime,
  last_heartbeat: optionalTime,
}).check(z.meta({ id: "holder", description: "A process that holds the lock, or waits for it" }));

const lock = z.object({
  action: z.literal("unlock"),
  status,
  ...ofDataset,
  message: text,
  outcome: z.enum(["free", "held", "broken", "gone"]).check(z.describe(
    "`broken`: it was broken on request; `gone`: the token that was given holds no lock",
  )),
  holder: z.optional(holder),
  queue: z.array(holder),
}).check(z.meta({ id: "lock", description: "unlock: the repository lock" }));

const check = z.object({
  action: z.literal("doctor"),
  status,
  check: text.check(z.describe("What was looked at")),
  verdict: z.enum(["ok", "warning", "problem"]).check(z.describe(
    "A problem keeps commands from working; a warning is something to know",
  )),
  message: text,
  hint: z.optional(text.check(z.describe("What to do"))),
}).check(z.meta({ id: "check", description: "doctor: one thing that was looked at" }));

const failure = z.object({
  action: text.check(z.describe("The command")),
  status: z.enum(["impossible", "error"]),
  message: text,
  hint: z.optional(text.check(z.describe("What to do"))),
  details: z.optional(texts.check(z.describe("Further lines, such as what a program said"))),
  kind: z.enum(["refused", "usage", "external", "locked", "interrupted", "bug"]),
  exit_code: z.int(),
  line,
  outcome: z.optional(
    z.enum(["failed", "in doubt"]).check(z.describe(
      "Of a job of a batch; `in doubt`: it is not known whether it was submitted",
    )),
  ),
}).check(z.meta({
  id: "failure",
  description: "All commands: why the command, or a job of a batch, has failed; it stands on " +
    "stderr as well",
}));

/** The schemas of all objects, most special first: no object fits one before its own. */
export const RECORDS = {
  submitted,
  planned,
  passedOver,
  script,
  openJob,
  notOpen,
  finished,
  logged,
  shown,
  otherChange,
  takenUp,
  released,
  lock,
  check,
  failure,
};

/** Any object that `--json` prints. */
export const outputRecord = z.union(Object.values(RECORDS));

/** Any object that `--json` prints. */
export type OutputRecord = z.infer<typeof outputRecord>;

type Records = typeof RECORDS;
export type OpenJobRecord = z.infer<Records["openJob"]>;
export type FinishedRecord = z.infer<Records["finished"]>;
export type ShownRecord = z.infer<Records["shown"]>;
export type LoggedRecord = z.infer<Records["logged"]>;
export type TakenUpRecord = z.infer<Records["takenUp"]>;
export type HolderRecord = z.infer<typeof holder>;
export type SubmittedRecord = z.infer<Records["submitted"]>;
export type PlannedRecord = z.infer<Records["planned"]>;
export type FailureRecord = z.infer<Records["failure"]>;

/** Returns the schema as JSON Schema, with a line for each kind of object. */
export function outputSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(outputRecord, { io: "input" });
  const schema = {
    $schema,
    title: `Output of datalad-slurm --json, version ${OUTPUT_VERSION}`,
    description: "One object a line. Times are in UTC, paths are absolute where it is not said " +
      "otherwise. Further fields may come without a new version.",
    ...rest,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
