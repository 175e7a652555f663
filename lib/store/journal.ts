import * as z from "zod/mini";
import { identityShape } from "./identity_shape.ts";

/**
 * The journal of operations in flight: one directory for each, named by its token. A command that
 * is killed leaves its entry, and the next command goes on from it. An entry is written before
 * anything happens outside, and removed when history holds the result.
 */

/** Builds the schemas; not before the first entry is read, since most commands read none. */
function buildSchemas() {
  // The process at work, as `ownIdentity` tells it: whether it has ended can be proven later.
  const owner = z.object(identityShape());

  const submission = z.object({
    version: z.literal(1),
    kind: z.literal("submission"),
    token: z.string(),
    owner,
    /** When the entry was written, in milliseconds since 1970. */
    since: z.number(),
    /** The branch that the record belongs on, as a full ref name, or `HEAD`. */
    branch: z.string(),
    /** The work tree's reservations, and the paths reserved there. */
    worktree: z.optional(z.string()),
    paths: z.array(z.string()),
    reschedule: z.boolean(),
    message: z.optional(z.string()),
    /** The command line as it goes to the shell, and the absolute directory it runs in. */
    command: z.string(),
    directory: z.string(),
    /** The cluster of the stand-in for Slurm, where that was chosen. */
    cluster: z.optional(z.string()),
    /** The record but for what only the submission tells. */
    record: z.record(z.string(), z.unknown()),
  });

  const finish = z.object({
    version: z.literal(1),
    kind: z.literal("finish"),
    token: z.string(),
    owner,
    since: z.number(),
    worktree: z.optional(z.string()),
    /** A ref that holds commits until the branch is moved, and an index file of its own. */
    temporaryRef: z.string(),
    temporaryIndex: z.string(),
    /**
     * The jobs' keys, with the paths that are released once they are finished; of a part of an
     * array its tasks.
     */
    jobs: z.array(z.object({
      key: z.string(),
      paths: z.array(z.string()),
      tasks: z.optional(z.string()),
    })),
    /** Subdatasets with files of the jobs, where there may be entries as well. */
    subdatasets: z.optional(z.array(z.string())),
    /** Whether each job gets a branch of its own, so that its files are taken off the work tree. */
    branches: z.optional(z.boolean()),
  });

  return { submission, finish, entry: z.discriminatedUnion("kind", [submission, finish]) };
}

type Schemas = ReturnType<typeof buildSchemas>;
let schemas: Schemas | undefined;

/** A job that is being submitted. */
export type SubmissionEntry = z.infer<Schemas["submission"]>;
/** Jobs that are being finished. */
export type FinishEntry = z.infer<Schemas["finish"]>;
/** One operation in flight. */
export type JournalEntry = z.infer<Schemas["entry"]>;

/** An entry that cannot be understood: damaged, of another version, or not ours to read. */
export interface UnreadableEntry {
  readonly kind: "unreadable";
  readonly token: string;
  /** Where it is, and why it cannot be read. */
  readonly directory: string;
  readonly reason: string;
}

/** The files of a submission's entry besides the entry itself. */
export interface SubmissionFiles {
  readonly directory: string;
  /** What the submitting command printed; it outlives us when we are killed meanwhile. */
  readonly stdout: string;
  readonly stderr: string;
  /** The session id of the submitting command, written before it starts. */
  readonly session: string;
  /** What the job was submitted with, as JSON. */
  readonly pins: string;
}

/** Returns where the files of a submission are. */
export function submissionFiles(journal: string, token: string): SubmissionFiles {
  const directory = `${journal}/${token}`;
  return {
    directory,
    stdout: `${directory}/stdout`,
    stderr: `${directory}/stderr`,
    session: `${directory}/session`,
    pins: `${directory}/pins`,
  };
}

/** Keeps what a job is submitted with. */
export function writePins({ pins }: SubmissionFiles, value: unknown): void {
  Deno.writeTextFileSync(pins, JSON.stringify(value));
}

/** Returns what {@link writePins} has kept, or undefined where it was not kept whole. */
export function readPins({ pins }: SubmissionFiles): unknown {
  try {
    return JSON.parse(Deno.readTextFileSync(pins));
  } catch {
    return undefined;
  }
}

/** Writes an entry, whole or not at all; it is on disk when this returns. */
export function writeEntry(journal: string, value: JournalEntry): void {
  const file = put(journal, value);
  try {
    file.syncSync();
  } finally {
    file.close();
  }
}

/**
 * Writes entries, each whole or not at all. The disk is waited for once for all of them: to wait for
 * each costs milliseconds an entry.
 */
export async function writeEntries(
  journal: string,
  values: readonly JournalEntry[],
): Promise<void> {
  const files = values.map((value) => put(journal, value));
  try {
    await Promise.all(files.map((file) => file.sync()));
  } finally {
    for (const file of files) file.close();
  }
}

/**
 * Puts an entry in place. The disk is waited for afterwards, so that the name outlives a power
 * failure as well; nothing outside happens before.
 */
function put(journal: string, value: JournalEntry): Deno.FsFile {
  const directory = `${journal}/${value.token}`;
  Deno.mkdirSync(directory, { recursive: true });
  const file = Deno.openSync(`${directory}/entry.new`, {
    write: true,
    create: true,
    truncate: true,
  });
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  for (let written = 0; written < bytes.length;) {
    written += file.writeSync(bytes.subarray(written));
  }
  Deno.renameSync(`${directory}/entry.new`, `${directory}/entry.json`);
  return file;
}

/** Removes an entry; one that is gone is fine. */
export function removeEntry(journal: string, token: string): void {
  try {
    Deno.removeSync(`${journal}/${token}`, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Returns the tokens of all entries. */
export function listEntries(journal: string): string[] {
  try {
    return [...Deno.readDirSync(journal)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Whether an entry is there; it is not read. */
export function hasEntry(journal: string, token: string): boolean {
  try {
    Deno.statSync(`${journal}/${token}/entry.json`);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns an entry, or undefined when it is gone or was never written whole (then nothing outside
 * has happened either). One that cannot be understood is data as well: it must not stand in the way
 * of every command.
 */
export function readEntry(
  journal: string,
  token: string,
): JournalEntry | UnreadableEntry | undefined {
  const directory = `${journal}/${token}`;
  let content: string;
  try {
    content = Deno.readTextFileSync(`${directory}/entry.json`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    return unreadable(token, directory, error);
  }
  // A power failure may leave the name without the content.
  if (content === "") return undefined;
  try {
    schemas ??= buildSchemas();
    return schemas.entry.parse(JSON.parse(content));
  } catch {
    const reason = "it was written by another version of datalad-slurm, or damaged";
    return unreadable(token, directory, reason);
  }
}

function unreadable(token: string, directory: string, error: unknown): UnreadableEntry {
  const reason = error instanceof Error ? error.message : String(error);
  return { kind: "unreadable", token, directory, reason };
}
