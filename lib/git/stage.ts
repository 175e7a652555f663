import { ToolError } from "../errors.ts";
import { isDenial, PERMISSION_DENIED } from "../files.ts";
import { isWithin, parentPath } from "../paths.ts";
import type { Progress } from "../process/progress.ts";
import { converse, externalError, text } from "../process/run.ts";
import { AnnexProgress } from "./annex_progress.ts";
import { annexEnvironment, git, WRITING_OBJECTS } from "./git.ts";
import type { IndexDraft } from "./index_draft.ts";

/** Files whose content git or the annex has taken in, but for the draft of the index. */
export interface TakenIn {
  /** Files that git ignores. */
  readonly ignored: string[];
  /**
   * Files that could not be added, and why. Where there are any, others may not have been taken in
   * either: begin again without the jobs that these are of.
   */
  readonly failed: { readonly path: string; readonly reason: string }[];
  /** Writes the files into the draft. */
  stage(): Promise<void>;
}

/**
 * Takes files in through git-annex, so that `annex.largefiles` decides which of them go to the
 * annex. The content is hashed and moved here; the draft is written when `stage` ends git-annex.
 */
export async function takeInWithAnnex(
  root: string,
  files: readonly string[],
  draft: IndexDraft,
  progress?: Progress,
): Promise<TakenIn> {
  // Where the index has an unlocked annexed file, git-annex takes a link to another file for it,
  // and puts the old content in the link's place (10.20230126). Git itself takes in links.
  const sizes = new Map<string, number>();
  const denied: string[] = [];
  const links = files.filter((file) => {
    try {
      const { isSymlink, size } = Deno.lstatSync(`${root}/${file}`);
      if (!isSymlink) sizes.set(file, size);
      return isSymlink;
    } catch (error) {
      if (!isDenial(error)) throw error;
      denied.push(file);
      return false;
    }
  });
  if (denied.length > 0) return notTakenIn(denied);
  const contents = links.length === 0 ? files : without(files, links);
  if (contents.length === 0) return await takeIn(root, links, draft);
  const annex = converse([
    "git",
    // One write of the index at the end, however many files there are.
    "-c",
    "annex.queuesize=10000000",
    "annex",
    "add",
    "--batch",
    "-z",
    "--json",
    "--json-error-messages",
    ...(progress === undefined ? [] : ["--json-progress"]),
  ], { cwd: root, env: { ...annexEnvironment(), ...WRITING_OBJECTS, ...draft.environment } });
  const noFile = `.end-of-list-${crypto.randomUUID()}`;
  const sending = (async () => {
    for (const file of contents) await annex.send(`${file}\0`);
    // A name is answered when the one behind it is whole (10.20250416): one that no file has makes
    // the last answer come.
    await annex.send(`${noFile}\0`);
  })();
  const lines = annex.lines[Symbol.asyncIterator]();
  const failed: TakenIn["failed"] = [];
  const silent: string[] = [];
  const allBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const underWay = new AnnexProgress();
  let bytes = 0;
  for (const [index, path] of contents.entries()) {
    let line = await lines.next();
    while (line.done !== true && underWay.takes(line.value)) {
      progress?.(index, contents.length, bytes + underWay.bytes, allBytes);
      line = await lines.next();
    }
    if (line.done === true) {
      await sending;
      throw externalError(await annex.end(), `git-annex failed to add ${JSON.stringify(path)}`);
    }
    const reason = parseAnnexAnswer(line.value);
    if (reason === "silent") silent.push(path);
    else if (reason !== undefined) failed.push({ path, reason });
    underWay.forget(path);
    bytes += sizes.get(path) ?? 0;
    progress?.(index + 1, contents.length, bytes, allBytes);
  }
  await sending;
  const ignored = await ignoredFiles(root, [...silent, ...links]);
  const endOfList = async () => {
    // After NUL git-annex expects one more name, and takes an empty one for an error
    // (10.20230126): a name that no file has ends the list. Not one below `.git`, which is a link
    // in work trees and subdatasets: git-annex fails on it, and leaves the index as it was.
    await annex.send(noFile);
    const ended = await annex.end();
    // Exit code 1 says that some file failed, which the answers have told already.
    if (ended.code > 1) throw externalError(ended, "git-annex add failed");
    await add(root, without(links, ignored), draft);
  };
  // Where git is to hold a file that it cannot read, git-annex fails on all that come after as well
  // (10.20230126).
  const unreadable = failed.filter(({ path }) => !isReadable(`${root}/${path}`))
    .map(({ path }) => asDenied(path));
  let ending: Promise<void> | undefined;
  return {
    ignored,
    failed: unreadable.length > 0 ? unreadable : failed,
    // Once only, also where the work under the lock has to begin again.
    stage: () => ending ??= endOfList(),
  };
}

/**
 * Parses one answer of `git annex add --batch --json`: an object with `success` and
 * `error-messages`, or an empty line for a file that it passes over (10.20230126). Returns
 * undefined for success, `silent`, or why it failed.
 */
export function parseAnnexAnswer(line: string): string | undefined {
  if (line === "") return "silent";
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch (cause) {
    throw new ToolError("external", "git-annex answered something that is not JSON", {
      details: line,
      cause,
    });
  }
  const { success, "error-messages": messages } = answer as Record<string, unknown>;
  if (success === true) return undefined;
  const reasons = Array.isArray(messages) ? messages.join("; ") : "";
  return reasons === "" ? "git-annex does not say why" : reasons;
}

/** Takes files in where there is no annex. */
export async function takeIn(
  root: string,
  files: readonly string[],
  draft: IndexDraft,
): Promise<TakenIn> {
  const ignored = await ignoredFiles(root, files);
  const wanted = without(files, ignored);
  // Git gives up at the first file that it cannot read, and leaves a part of a pack.
  const unreadable = wanted.filter((file) => !isReadable(`${root}/${file}`));
  if (unreadable.length > 0) return notTakenIn(unreadable);
  await add(root, wanted, draft);
  return { ignored, failed: [], stage: () => Promise.resolve() };
}

function notTakenIn(denied: readonly string[]): TakenIn {
  return { ignored: [], failed: denied.map(asDenied), stage: () => Promise.resolve() };
}

function asDenied(path: string): TakenIn["failed"][number] {
  return { path, reason: PERMISSION_DENIED };
}

/** Whether a file may be read; of a link that is the link itself, which git does not follow. */
function isReadable(path: string): boolean {
  try {
    Deno.openSync(path).close();
    return true;
  } catch (error) {
    if (!isDenial(error)) return true;
  }
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch (error) {
    return !isDenial(error);
  }
}

/**
 * Adds files to the draft. Git passes over an entry that is marked for it not to look at the file,
 * without a word (2.39), so the marks go; git-annex writes entries anew, without marks (10.20230126).
 */
async function add(root: string, paths: readonly string[], draft: IndexDraft): Promise<void> {
  const { assumed, skipped } = await markedEntries(root, paths, draft);
  await updateIndex(root, ["--no-assume-unchanged"], assumed, draft);
  await updateIndex(root, ["--no-skip-worktree"], skipped, draft);
  await updateIndex(root, ["--add", "--replace"], paths, draft);
}

const FEW_PATHS = 50;

/** Returns those of the paths whose entries are marked as assumed to be unchanged, or to be skipped. */
async function markedEntries(
  root: string,
  paths: readonly string[],
  draft: IndexDraft,
): Promise<{ readonly assumed: string[]; readonly skipped: string[] }> {
  const assumed: string[] = [];
  const skipped: string[] = [];
  const [first] = paths;
  if (first === undefined) return { assumed, skipped };
  // Git compares each entry with each path that it is told, and tells each that is below one.
  let directory = parentPath(first);
  for (const path of paths) {
    while (!isWithin(path, directory)) directory = parentPath(directory);
  }
  const specs = paths.length > FEW_PATHS ? [directory] : paths;
  const { stdout } = await git(root, ["ls-files", "-v", "-z", "--", ...specs], {
    env: draft.environment,
  });
  const wanted = new Set(paths);
  // "H path" NUL, or `S` for one to be skipped; a small letter says that it is assumed (git 2.39)
  for (const [, tag = "", path = ""] of text(stdout).matchAll(/(?:^|\0)([a-zS]) ([^\0]+)/g)) {
    if (!wanted.has(path)) continue;
    if (tag !== "S") assumed.push(path);
    if (tag.toUpperCase() === "S") skipped.push(path);
  }
  return { assumed, skipped };
}

/** Removes paths from the draft; files stay where they are. */
export async function unstage(
  root: string,
  paths: readonly string[],
  draft: IndexDraft,
): Promise<void> {
  await updateIndex(root, ["--force-remove"], paths, draft);
}

async function updateIndex(
  root: string,
  options: readonly string[],
  paths: readonly string[],
  draft: IndexDraft,
): Promise<void> {
  if (paths.length === 0) return;
  const areMany = paths.length >= FILES_FOR_PACK;
  await git(root, ["update-index", ...options, "-z", "--stdin"], {
    stdin: paths.map((path) => `${path}\0`).join(""),
    env: { ...areMany ? WRITING_OBJECTS : {}, ...draft.environment },
    config: areMany ? await intoOnePack(root) : [],
  });
}

/** From as many objects on git keeps what it is sent as a pack (`fetch.unpackLimit`). */
const FILES_FOR_PACK = 100;

/**
 * Returns the settings with which git writes contents into one pack as it reads them, and not each
 * into a file of its own, where no filter changes them: so it treats files that are larger than the
 * threshold, in bytes. Before 2.37 each would have a pack of its own.
 */
async function intoOnePack(root: string): Promise<string[]> {
  const version = /^git version (\d+)\.(\d+)/.exec(text((await git(root, ["version"])).stdout));
  const [major, minor] = [Number(version?.[1]), Number(version?.[2])];
  return major > 2 || major === 2 && minor >= 37 ? ["core.bigFileThreshold=1"] : [];
}

/** Returns those of the files that git's ignore rules leave out and git does not track already. */
export async function ignoredFiles(root: string, files: readonly string[]): Promise<string[]> {
  if (files.length === 0) return [];
  const result = await git(root, ["check-ignore", "-z", "--stdin"], {
    // It knows no literal pathspecs (git 2.39); behind `./` nothing is taken for magic.
    stdin: files.map((file) => `./${file}\0`).join(""),
    tolerate: [1],
    env: { GIT_LITERAL_PATHSPECS: undefined },
  });
  return text(result.stdout).split("\0").filter((path) => path !== "")
    .map((path) => path.slice("./".length));
}

function without(files: readonly string[], left: readonly string[]): readonly string[] {
  if (left.length === 0) return files;
  const leave = new Set(left);
  return files.filter((file) => !leave.has(file));
}
