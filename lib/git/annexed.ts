import { ToolError } from "../errors.ts";
import { absolutePath, parentPath } from "../paths.ts";
import { externalError, run, text } from "../process/run.ts";
import { blobTexts } from "./blobs.ts";
import { annexEnvironment, git } from "./git.ts";
import type { StagedChange } from "./changes.ts";
import { argumentChunks } from "./staged.ts";

/**
 * Throws a {@link ToolError} when there is no git-annex on PATH. Looks at the file system only,
 * before anything is changed.
 */
export function requireAnnex(root: string): void {
  const isThere = (Deno.env.get("PATH") ?? "").split(":").some((directory) =>
    exists(`${directory || "."}/git-annex`)
  );
  if (isThere) return;
  throw new ToolError("external", `The dataset ${JSON.stringify(root)} needs git-annex`, {
    hint: "It is not on PATH: install git-annex, or load the module that provides it",
  });
}

/** Whether there is a branch of git-annex's, the repository's own or a remote's. */
export async function hasAnnexBranch(root: string): Promise<boolean> {
  const patterns = ["refs/heads/git-annex", "refs/remotes/*/git-annex"];
  const { stdout } = await git(root, ["for-each-ref", "--count=1", ...patterns]);
  return stdout.length > 0;
}

/** Initialises the annex of a clone. Throws a {@link ToolError} when git-annex fails. */
export async function initAnnex(root: string): Promise<void> {
  requireAnnex(root);
  const result = await run(["git", "annex", "init", "--quiet"], {
    cwd: root,
    env: annexEnvironment(),
  });
  if (result.code !== 0) throw externalError(result, "git-annex could not be initialised");
}

/** Whether the text of a symbolic link points into an annex: `../.git/annex/objects/…`. */
export function isAnnexLink(target: string): boolean {
  return /(^|\/)\.git\/annex\/objects\//.test(target) ||
    // In a subdataset or linked work tree: `../.git/modules/sub/annex/objects/…`.
    /(^|\/)\.git\/(modules|worktrees)\/.*\/annex\/objects\//.test(target);
}

/**
 * Returns the key of an annexed file, given the text of the link or of the pointer that stands for it
 * (`/annex/objects/MD5E-s12--abc.txt`); undefined for any other text.
 */
export function annexKeyIn(linkOrPointer: string): string | undefined {
  return /^\/annex\/objects\/([^/\n]+)/.exec(linkOrPointer)?.[1] ??
    (isAnnexLink(linkOrPointer)
      ? linkOrPointer.slice(linkOrPointer.lastIndexOf("/") + 1)
      : undefined);
}

/** Returns the name of a key's file in the annex (10.20230126): a key may be an address. */
export function fileOfKey(key: string): string {
  const codes: Readonly<Record<string, string>> = { "&": "&a", "%": "&s", ":": "&c", "/": "%" };
  return key.replace(/[&%:/]/g, (character) => codes[character] ?? character);
}

/**
 * Returns the absolute paths of the content of keys, of those whose content is here. Throws a
 * {@link ToolError} when git-annex is killed; where it cannot be run, nothing is here. It initialises
 * the annex of a clone, whatever `annex.autoinit` says (10.20230126).
 */
export async function contentPaths(root: string, keys: readonly string[]): Promise<string[]> {
  const result = await run(["git", "annex", "contentlocation", "--batch"], {
    cwd: root,
    env: annexEnvironment(),
    stdin: keys.map((key) => `${key}\n`).join(""),
  });
  if (result.signal !== null) throw externalError(result, "git-annex could not be asked");
  // An empty line for each key that is not here (10.20230126).
  return text(result.stdout).split("\n").filter((path) => path !== "")
    .map((path) => absolutePath(path, root));
}

/** Locked annexed files among some paths of the work tree. */
export interface LockedFiles {
  /** Files whose content is here. */
  readonly present: string[];
  /** Files whose content is not here: dangling links. */
  readonly absent: string[];
}

/** Returns those of the files that are links into the annex; paths are relative to the root. */
export function findLocked(root: string, files: readonly string[]): LockedFiles {
  const locked: LockedFiles = { present: [], absent: [] };
  for (const file of files) {
    let target: string;
    try {
      target = Deno.readLinkSync(`${root}/${file}`);
    } catch {
      continue;
    }
    if (isAnnexLink(target)) {
      (exists(`${root}/${file}`) ? locked.present : locked.absent).push(file);
    }
  }
  return locked;
}

/**
 * Returns those of the files whose annexed content is not here: dangling links into the annex, and
 * unlocked files that hold a pointer (`/annex/objects/KEY`) in place of their content.
 */
export function findAbsent(root: string, files: readonly string[]): string[] {
  const absent = new Set(findLocked(root, files).absent);
  return files.filter((file) => absent.has(file) || isPointer(`${root}/${file}`));
}

/**
 * Returns how many bytes the content of absent annexed files has together, as their keys say;
 * undefined when a key does not.
 */
export function absentBytes(root: string, files: readonly string[]): number | undefined {
  let sum = 0;
  for (const file of files) {
    const path = `${root}/${file}`;
    const named = Deno.lstatSync(path).isSymlink
      ? Deno.readLinkSync(path)
      : Deno.readTextFileSync(path);
    // `MD5E-s300000--0cc175b9c0f1b6a831c399e269772661.csv`; keys of URLs have no size.
    const size = /\/[A-Z0-9_]+(?:-[a-zA-Z]\d+)*?-s(\d+)[-\w]*--[^/]*$/.exec(named.trim())?.[1];
    if (size === undefined) return undefined;
    sum += Number(size);
  }
  return sum;
}

/** git-annex takes a file of at most 32 KiB that starts so for a pointer (10.20230126). */
function isPointer(path: string): boolean {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (!isFile || size > 32768 || size < 16) return false;
    return Deno.readTextFileSync(path).startsWith("/annex/objects/");
  } catch {
    return false;
  }
}

/**
 * Returns those of some entries of a commit that are links into the annex whose content is not
 * here, with the texts of the links; paths are relative to the root.
 */
export async function absentLinks(
  root: string,
  entries: readonly StagedChange[],
): Promise<Map<string, string>> {
  const links = entries.filter(({ mode }) => mode === "120000");
  const absent = new Map<string, string>();
  if (links.length === 0) return absent;
  const texts = await blobTexts(root, links.map(({ object }) => object));
  for (const { path, object } of links) {
    const target = texts.get(object);
    if (target === undefined) continue;
    // Without the help of the file system: the directory of the link may be gone.
    const content = absolutePath(target, `${root}/${parentPath(path)}`);
    if (isAnnexLink(target) && !exists(content)) absent.set(path, target);
  }
  return absent;
}

/** Locks files that {@link unlock} has unlocked and nobody has changed; quietly, others stay. */
export async function lockAgain(root: string, files: readonly string[]): Promise<void> {
  for (const chunk of argumentChunks(files)) {
    await run(["git", "annex", "lock", "--quiet", "--", ...chunk], {
      cwd: root,
      env: annexEnvironment(),
    });
  }
}

/** Makes locked annexed files writable. Throws a {@link ToolError} when git-annex fails. */
export async function unlock(root: string, files: readonly string[]): Promise<void> {
  requireAnnex(root);
  for (const chunk of argumentChunks(files)) {
    const result = await run(["git", "annex", "unlock", "--quiet", "--", ...chunk], {
      cwd: root,
      env: annexEnvironment(),
    });
    if (result.code !== 0) throw externalError(result, "git-annex could not unlock the outputs");
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
