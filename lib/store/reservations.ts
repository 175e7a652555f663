import { isThere } from "../files.ts";

/**
 * Reserved outputs. Each open job holds the paths it declared: no other open job may declare the
 * same path, one above it or one below it. A reservation of `a/b` is a symbolic link `=a/=b` whose
 * text is the job's token, below directories that mirror the path; so a check costs the depth of
 * the path, whatever the number of open jobs, and a link appears whole or not at all.
 *
 * The tree is a cache: it can be rebuilt from the open jobs in history and the journal. All
 * functions but {@link findHolder} are called under the repository lock.
 */

/** A reservation that stands in the way of another one. */
export interface Conflict {
  /** The path that was asked for. */
  readonly wanted: string;
  /** The path that is held: the same, one above or one below. */
  readonly held: string;
  /** The token of the submission that holds it. */
  readonly token: string;
}

/**
 * Reserves all paths for a token, or none: returns the first conflict. Paths are relative to the
 * dataset's root, normalised; `.` is the whole dataset.
 */
export function reserve(
  tree: string,
  token: string,
  paths: readonly string[],
): Conflict | undefined {
  Deno.mkdirSync(tree, { recursive: true });
  const reserved: string[] = [];
  for (const path of paths) {
    const conflict = reserveOne(tree, token, path);
    if (conflict !== undefined) {
      release(tree, token, reserved);
      return conflict;
    }
    reserved.push(path);
  }
  return undefined;
}

/** Releases those of the paths that the token holds; others are left alone. */
export function release(tree: string, token: string, paths: readonly string[]): void {
  for (const path of paths) {
    const names = entryNames(path);
    if (readToken(`${tree}/${names.join("/")}`) !== token) continue;
    removeQuietly(`${tree}/${names.join("/")}`);
    for (let depth = names.length - 1; depth > 0; depth--) {
      if (!removeQuietly(`${tree}/${names.slice(0, depth).join("/")}`)) break;
    }
  }
}

/** Returns the reservation that stands in the way of a path, without reserving it. */
export function findHolder(tree: string, path: string): Conflict | undefined {
  return findHolders(tree, path).next().value ?? undefined;
}

/** Yields the reservation at or above a path, or all that are below it. */
export function* findHolders(tree: string, path: string): Generator<Conflict, undefined> {
  const names = entryNames(path);
  for (let depth = 1; depth <= names.length; depth++) {
    const token = readToken(`${tree}/${names.slice(0, depth).join("/")}`);
    if (token === undefined) continue;
    yield { wanted: path, held: pathOf(names.slice(0, depth)), token };
    return;
  }
  for (const below of reservationsBelow(tree, names)) yield { wanted: path, ...below };
}

/** Returns all reservations. */
export function listReservations(tree: string): { path: string; token: string }[] {
  return [...reservationsBelow(tree, [])].map(({ held, token }) => ({ path: held, token }));
}

/** Whether reservations exist at all; a missing tree has to be rebuilt from history. */
export function hasReservations(tree: string): boolean {
  return isThere(tree);
}

/** Replaces the whole tree by the reservations given; later conflicting ones are left out. */
export function rebuildReservations(
  tree: string,
  jobs: Iterable<{ readonly token: string; readonly paths: readonly string[] }>,
): void {
  try {
    Deno.removeSync(tree, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  // Built aside and put in place at the end: a half-built tree would look like a whole one.
  const building = `${tree}.new`;
  try {
    Deno.removeSync(building, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(building, { recursive: true });
  for (const { token, paths } of jobs) {
    for (const path of paths) reserveOne(building, token, path);
  }
  Deno.renameSync(building, tree);
}

function reserveOne(tree: string, token: string, path: string): Conflict | undefined {
  const names = entryNames(path);
  const leaf = `${tree}/${names.join("/")}`;
  for (let attempt = 0;; attempt++) {
    try {
      if (names.length > 1) {
        Deno.mkdirSync(`${tree}/${names.slice(0, -1).join("/")}`, { recursive: true });
      }
      Deno.symlinkSync(token, leaf);
      return undefined;
    } catch (error) {
      // Something is in the way, as a link above, the same link, or a directory below.
      const conflict = findHolder(tree, path);
      // Ours already: a network file system may have repeated a request whose answer was lost.
      if (conflict?.token === token && conflict.held === path) return undefined;
      if (conflict !== undefined) return conflict;
      if (attempt > 0 || !removeEmptyDirectories(leaf)) throw error;
    }
  }
}

/** Removes a directory that holds nothing but empty directories, left by a release cut short. */
function removeEmptyDirectories(path: string): boolean {
  try {
    for (const entry of Deno.readDirSync(path)) removeEmptyDirectories(`${path}/${entry.name}`);
  } catch {
    return false;
  }
  return removeQuietly(path);
}

function* reservationsBelow(
  tree: string,
  names: readonly string[],
): Generator<{ held: string; token: string }, undefined> {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync([tree, ...names].join("/"))];
  } catch {
    return;
  }
  for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const below = [...names, name];
    const token = readToken(`${tree}/${below.join("/")}`);
    if (token !== undefined) yield { held: pathOf(below), token };
    else yield* reservationsBelow(tree, below);
  }
}

// A name may be 255 bytes long, which leaves no room for a prefix: long ones are cut in pieces of
// so many characters, each of up to four bytes.
const PIECE = 60;

/**
 * Returns the names of the entries that stand for a path: `=` for the root, then for each component
 * its pieces, all but the last marked with `~` so that no piece is mistaken for a component.
 */
function entryNames(path: string): string[] {
  if (path === ".") return ["="];
  return ["=", ...path.split("/").flatMap(pieces)];
}

function pieces(component: string): string[] {
  const characters = [...component];
  const names: string[] = [];
  for (let start = 0; start < characters.length; start += PIECE) {
    const last = start + PIECE >= characters.length;
    names.push((last ? "=" : "~") + characters.slice(start, start + PIECE).join(""));
  }
  return names;
}

function pathOf(names: readonly string[]): string {
  const path = names.slice(1).map((name) =>
    name.startsWith("=") ? `${name.slice(1)}/` : name.slice(1)
  ).join("");
  return path === "" ? "." : path.replace(/\/$/, "");
}

function readToken(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

function removeQuietly(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}
