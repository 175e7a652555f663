import { isAbsence, isDenial } from "../files.ts";
import { parentPath } from "../paths.ts";
import { text } from "../process/run.ts";
import { annexKeyIn } from "./annexed.ts";
import { smallBlobs } from "./blobs.ts";
import { git } from "./git.ts";
import { argumentChunks, parseRawDiff } from "./staged.ts";

/** In which way something in the work tree differs from what HEAD has. */
export type Difference = "modified" | "new" | "deleted";

/** What some paths of a work tree hold at one moment; paths are relative to the repository. */
export interface Pins {
  /**
   * By path: of a file git's object id of its content, or its annex key; of a link that is not the
   * annex's `-> TARGET`; of a large file that neither git nor the annex knows its size and time,
   * `s1234-m1795359739`; of a directory the id of its tree in HEAD.
   */
  readonly ids: Map<string, string>;
  /** What differs from HEAD: the paths themselves, or what is below directories among them. */
  readonly differs: Map<string, Difference>;
}

/** Larger files are not read: they are taken for what HEAD has when git's index says so. */
const LARGE = 1 << 20;

/** From so many paths on, HEAD is asked for whole directories, and not for each path. */
const MANY_PATHS = 100;

/** Paths by what is there. */
interface Found {
  readonly small: string[];
  readonly large: string[];
  readonly links: Map<string, string>;
  readonly directories: string[];
}

/**
 * Returns what paths of a repository's work tree hold, and where that differs from HEAD. What is not
 * there is left out; a file that cannot be read has an id only where git's index takes it for what
 * HEAD has. A fixed number of processes, however many paths; only directories, large files
 * and files that differ from HEAD have git read its index.
 */
export async function takePins(root: string, paths: readonly string[]): Promise<Pins> {
  const { small, large, links, directories } = look(root, paths);
  const unread = [...large, ...directories];
  const [hashes, head, trees, first] = await Promise.all([
    hashFiles(root, small),
    objectsInHead(root, [...small, ...links.keys(), ...large]),
    treesInHead(root, directories),
    differences(root, unread, directories),
  ]);
  const suspicious = small.filter((path) => head.has(path) && head.get(path) !== hashes.get(path));
  const second = await differences(root, suspicious, []);
  const isAsInHead = (path: string) => head.has(path) && !first.has(path) && !second.has(path);
  const filtered = [...large, ...suspicious].filter(isAsInHead);
  const texts = await smallBlobs(
    root,
    [...links.keys(), ...filtered].map((path) => head.get(path) ?? "").filter((id) => id !== ""),
  );
  const pins: Pins = { ids: trees, differs: new Map() };
  const put = (path: string, id: string | undefined, same: boolean) => {
    if (id === undefined) return;
    pins.ids.set(path, id);
    if (!same) pins.differs.set(path, head.has(path) ? "modified" : "new");
  };
  // What HEAD has of them went through a filter, such as git-annex's.
  const differently = new Set(filtered);
  for (const path of filtered) {
    const known = head.get(path) ?? "";
    put(path, annexKeyIn(texts.get(known) ?? "") ?? known, true);
  }
  for (const path of small) {
    if (differently.has(path)) continue;
    const id = hashes.get(path);
    put(path, id, head.get(path) === id);
    const how = head.has(path) ? second.get(path)?.how : "new";
    if (id === undefined && how !== undefined) pins.differs.set(path, how);
  }
  for (const path of large) {
    if (!differently.has(path)) put(path, sizeAndTime(root, path), false);
  }
  for (const [path, target] of links) {
    put(path, linkId(target), texts.get(head.get(path) ?? "") === target);
  }
  const own = new Set(large);
  const below = [...first].filter(([path]) => !own.has(path));
  const contents = await contentIds(root, below.map(([path]) => path));
  for (const [path, { how, committed }] of below) {
    const id = contents.get(path);
    // A file may have been touched only.
    if (how === "modified" && id === committed) continue;
    pins.differs.set(path, how);
    if (id !== undefined) pins.ids.set(path, id);
  }
  return pins;
}

/** Returns what files and links hold that HEAD has otherwise, or not at all. */
async function contentIds(root: string, paths: readonly string[]): Promise<Map<string, string>> {
  const { small, large, links } = look(root, paths);
  const ids = await hashFiles(root, small);
  for (const path of large) ids.set(path, sizeAndTime(root, path));
  for (const [path, target] of links) ids.set(path, linkId(target));
  return ids;
}

function linkId(target: string): string {
  return annexKeyIn(target) ?? `-> ${target}`;
}

/** Returns the ids of the trees that HEAD has at some directories. */
export async function treesInHead(
  root: string,
  directories: readonly string[],
): Promise<Map<string, string>> {
  const asked = directories.filter((path) => path !== "." && !path.includes("\n"));
  if (asked.length === 0) return new Map();
  const { stdout } = await git(root, ["cat-file", "--batch-check=%(objecttype) %(objectname)"], {
    stdin: asked.map((path) => `HEAD:${path}\n`).join(""),
  });
  // "tree 3f2e…", or "HEAD:path missing" (git 2.39)
  const answers = text(stdout).split("\n");
  return new Map(asked.flatMap((path, at) => {
    const id = /^tree ([0-9a-f]+)$/.exec(answers[at] ?? "")?.[1];
    return id === undefined ? [] : [[path, id] as const];
  }));
}

function look(root: string, paths: readonly string[]): Found {
  const found: Found = { small: [], large: [], links: new Map(), directories: [] };
  for (const path of new Set(paths)) {
    try {
      const { isSymlink, isDirectory, isFile, size } = Deno.lstatSync(`${root}/${path}`);
      if (isSymlink) found.links.set(path, Deno.readLinkSync(`${root}/${path}`));
      else if (isDirectory) found.directories.push(path);
      // `git hash-object --stdin-paths` takes one path a line.
      else if (isFile) (size > LARGE || path.includes("\n") ? found.large : found.small).push(path);
    } catch (error) {
      if (!isAbsence(error) && !isDenial(error)) throw error;
    }
  }
  return found;
}

/** Returns the paths at which one tree has something else than an earlier one, or nothing. */
export async function changedInTree(
  root: string,
  before: string,
  after: string,
): Promise<string[]> {
  const { stdout } = await git(root, [
    "diff-tree",
    "-r",
    "--raw",
    "-z",
    "--no-renames",
    "--no-abbrev",
    before,
    after,
    // A shallow clone may not have it.
  ], { tolerate: [128] });
  return parseRawDiff(text(stdout)).filter((change) => !isAbsent(change.before.mode))
    .map(({ path }) => path);
}

function isAbsent(mode: string): boolean {
  return /^0+$/.test(mode);
}

/**
 * Returns git's ids of files as they are, without filters: git-annex's would take them in. Files that
 * cannot be read are left out.
 */
export async function hashFiles(
  root: string,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (let left = paths; left.length > 0;) {
    const { stdout } = await git(root, ["hash-object", "--no-filters", "--stdin-paths"], {
      // Not with a quotation mark in front, which would be unquoted.
      stdin: left.map((path) => `${path.startsWith("/") ? "" : "./"}${path}\n`).join(""),
      // The first file that cannot be read, or has vanished, ends it (git 2.39).
      tolerate: [128],
    });
    const lines = text(stdout).split("\n").slice(0, -1);
    for (const [at, id] of lines.entries()) ids.set(left[at] ?? "", id);
    // All that are closed at once: a process for each would take long.
    left = left.slice(lines.length + 1).filter((path) => isOpen(root, path));
  }
  return ids;
}

function isOpen(root: string, path: string): boolean {
  try {
    Deno.openSync(path.startsWith("/") ? path : `${root}/${path}`).close();
    return true;
  } catch {
    return false;
  }
}

/** Returns the ids of what HEAD has at some paths: blobs, trees, commits of subdatasets. */
export async function objectsInHead(
  root: string,
  paths: readonly string[],
): Promise<Map<string, string>> {
  if (paths.length === 0) return new Map();
  const wanted = new Set(paths);
  // A directory's path with a slash stands for what is in it.
  const asked = paths.length > MANY_PATHS
    ? [...new Set(paths.map((path) => `${parentPath(path)}/`))]
    : paths;
  const objects = new Map<string, string>();
  for (const chunk of argumentChunks(asked)) {
    const { stdout } = await git(root, ["ls-tree", "-z", "HEAD", "--", ...chunk]);
    // "100644 blob 3f2e…\tpath" NUL (git 2.39)
    for (const entry of text(stdout).split("\0")) {
      const tab = entry.indexOf("\t");
      const path = entry.slice(tab + 1);
      if (tab > 0 && wanted.has(path)) objects.set(path, entry.slice(0, tab).split(" ")[2] ?? "");
    }
  }
  return objects;
}

/**
 * Returns how paths, and what is below the directories among them, differ from HEAD by what git's
 * index knows of the files: their size and time; with what HEAD has of them. No file is read; a
 * subdataset differs when another commit of it is checked out.
 */
export async function differences(
  root: string,
  paths: readonly string[],
  directories: readonly string[],
): Promise<Map<string, { how: Difference; committed?: string }>> {
  const found = new Map<string, { how: Difference; committed?: string }>();
  if (paths.length === 0) return found;
  const inChunks = async (args: readonly string[], asked: readonly string[]) => {
    const answers: string[] = [];
    for (const chunk of argumentChunks(asked)) {
      answers.push(text((await git(root, [...args, "--", ...chunk])).stdout));
    }
    return answers;
  };
  const [changed, untracked] = await Promise.all([
    inChunks(["diff-index", "--raw", "-z", "--no-renames", "--no-abbrev", ...QUICK, "HEAD"], paths),
    directories.length === 0
      ? []
      : inChunks(["ls-files", "--others", "--exclude-standard", "-z"], directories),
  ]);
  for (const { path, mode, before } of changed.flatMap(parseRawDiff)) {
    const how = mode === undefined || isAbsent(mode) ? "deleted" : "modified";
    found.set(path, isAbsent(before.mode) ? { how: "new" } : { how, committed: before.object });
  }
  for (const path of untracked.flatMap((answer) => answer.split("\0"))) {
    if (path !== "") found.set(path, { how: "new" });
  }
  return found;
}

const QUICK = ["--ignore-submodules=dirty"];

function sizeAndTime(root: string, path: string): string {
  const { size, mtime } = Deno.lstatSync(`${root}/${path}`);
  return `s${size}-m${Math.floor((mtime?.getTime() ?? 0) / 1000)}`;
}
