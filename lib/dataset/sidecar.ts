import { ToolError } from "../errors.ts";
import { absolutePath } from "../paths.ts";
import { annexKeyIn, contentPaths, isAnnexLink } from "../git/annexed.ts";
import { readBlob } from "../git/blobs.ts";
import { readConfiguration } from "../git/config.ts";
import { externalError, run, type RunResult, text } from "../process/run.ts";
import { malformed } from "../record/malformed.ts";
import { parseSidecar } from "../record/sidecar.ts";
import type { JobRecord } from "../record/schema.ts";
import { isAnnexInitialised } from "./dataset.ts";

const DIRECTORY = ".datalad/runinfo";

/** What a record can be read with, once it is here. */
export type Awaited = { readonly program: string } | { readonly key: string };

/** A record that cannot be read here and now, but perhaps another time: nothing is wrong with it. */
export class RecordNotHere extends ToolError {
  constructor(readonly awaits: Awaited, message: string) {
    super("refused", message);
  }
}

/**
 * Returns the record that a commit keeps beside its message, in `.datalad/runinfo/ID`: lines of
 * JSON, compressed with xz; `datalad run --sidecar yes` lets the annex have it (DataLad 1.1). Throws a
 * {@link RecordNotHere}, or another {@link ToolError}: of kind `refused` when it is malformed.
 */
export async function readSidecar(
  root: string,
  commit: string,
  id: string,
  jobId: string,
): Promise<JobRecord> {
  const blob = await readBlob(root, `${commit}:${DIRECTORY}/${id}`);
  if (blob === undefined) throw malformed(commit, `There is no sidecar record ${id}`);
  const compressed = await annexedContent(root, commit, id, blob) ?? blob;
  return parseSidecar(commit, await decompress(commit, id, compressed), jobId);
}

/** Returns what a link or pointer in a record's place stands for; undefined for any other content. */
async function annexedContent(
  root: string,
  commit: string,
  id: string,
  blob: Uint8Array,
): Promise<Uint8Array | undefined> {
  // Longer ones are no pointers for git-annex (10.20230126).
  const target = blob.length > 32768 ? "" : text(blob);
  const key = annexKeyIn(target);
  // git-annex ends at what it does not take for a key, whatever else it is asked for (10.20230126).
  if (key === undefined || !/^[A-Z0-9_]+(?:-[a-zA-Z]\d+)*--./.test(key)) return undefined;
  // Git-annex need not be asked where the link leads there.
  const linked = isAnnexLink(target)
    ? readIfThere(absolutePath(target, `${root}/${DIRECTORY}`))
    : undefined;
  if (linked !== undefined) return linked;
  const [path] = await placesOf(root, [key]);
  const content = path === undefined ? undefined : readIfThere(path);
  if (content !== undefined) return content;
  throw new RecordNotHere(
    { key },
    `The record ${id} of commit ${commit} is in the annex and its content is not here: ` +
      `get it with git annex get ${DIRECTORY}/${id}`,
  );
}

async function decompress(commit: string, id: string, compressed: Uint8Array): Promise<string> {
  const notHere = new RecordNotHere(
    { program: "xz" },
    `The record ${id} of commit ${commit} is compressed, and "xz" cannot be run: ` +
      "install it, or load the module that provides it",
  );
  let lines: RunResult;
  try {
    lines = await run(["xz", "--decompress", "--stdout"], { stdin: compressed });
  } catch (error) {
    throw error instanceof ToolError ? notHere : error;
  }
  if (lines.code === 0) return text(lines.stdout);
  const what = `The record ${id} of commit ${commit} cannot be decompressed`;
  if (lines.signal !== null) throw externalError(lines, what);
  // By itself xz ends with 1 and 2 (5.4); the loader that misses a library, with 127.
  throw lines.code > 2 ? notHere : new ToolError("refused", what, {
    details: lines.stderr.trim(),
  });
}

/** Whether anything is here by now of what records have been waiting for. */
export async function isAnyHere(root: string, awaited: readonly Awaited[]): Promise<boolean> {
  if (awaited.some((one) => "program" in one) && await isXzHere()) return true;
  const keys = awaited.flatMap((one) => "key" in one ? [one.key] : []);
  return (await placesOf(root, keys)).length > 0;
}

/** Returns where content is, of what is here; whoever only looks initialises no annex. */
async function placesOf(root: string, keys: readonly string[]): Promise<string[]> {
  if (keys.length === 0 || !isAnnexInitialised(await readConfiguration(root))) return [];
  return await contentPaths(root, keys);
}

async function isXzHere(): Promise<boolean> {
  try {
    return (await run(["xz", "--version"])).code === 0;
  } catch (error) {
    if (error instanceof ToolError) return false;
    throw error;
  }
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    const { NotFound, NotADirectory, IsADirectory } = Deno.errors;
    const isNone = [NotFound, NotADirectory, IsADirectory].some((kind) => error instanceof kind);
    if (isNone) return undefined;
    throw error;
  }
}
