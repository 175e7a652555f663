import { isDenial, isThere } from "../files.ts";
import { isWithin, joinPath, parentPath } from "../paths.ts";

/**
 * Globs in declared inputs and outputs, as `datalad run` has them: `*`, `?` and `[…]` within one
 * name, `**` for any number of directories; names that start with a dot match only a dot. A path
 * that exists as it is written is no glob.
 */

/** Whether a path may be a glob. */
export function hasMagic(path: string): boolean {
  return /[*?[]/.test(path);
}

/** Returns the longest part of a path, in whole names, that stands before the first wildcard. */
export function fixedPrefix(path: string): string {
  const parts = path.split("/");
  const first = parts.findIndex(hasMagic);
  return first < 0 ? path : parts.slice(0, first).join("/") || ".";
}

/**
 * Returns what a declared path stands for in a work tree, in alphabetical order: itself, where it
 * exists or is no glob, else the files and directories that match. Who expands the paths of many
 * tasks has one {@link Listing} for all of them.
 */
export function expandPath(root: string, path: string, listing = new Listing(root)): string[] {
  if (!hasMagic(path) || isThere(`${root}/${path}`)) return [path];
  const search: Search = { root, found: [], listing };
  matchBelow(search, fixedPrefix(path), patternParts(path));
  return [...new Set(search.found)].sort();
}

/** Returns the same, but a glob that matches nothing as it stands, as a shell does. */
export function expandPathOrKeep(
  root: string,
  path: string,
  listing = new Listing(root),
): string[] {
  const found = expandPath(root, path, listing);
  return found.length === 0 ? [path] : found;
}

/** What a work tree holds at one moment: each directory that is asked for is read once. */
export class Listing {
  /** Directories that may not be looked through. */
  readonly denied = new Set<string>();
  readonly #root: string;
  readonly #entries = new Map<string, readonly Deno.DirEntry[]>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Returns the entries of a directory whose names start with a text, sorted by name. */
  entries(directory: string, start = ""): readonly Deno.DirEntry[] {
    let all = this.#entries.get(directory);
    if (all === undefined) {
      all = this.#read(directory);
      this.#entries.set(directory, all);
    }
    if (start === "") return all;
    const first = firstFrom(all, start);
    let end = first;
    while (all[end]?.name.startsWith(start) === true) end++;
    return all.slice(first, end);
  }

  #read(directory: string): Deno.DirEntry[] {
    try {
      return [...Deno.readDirSync(directory === "." ? this.#root : `${this.#root}/${directory}`)]
        .filter(({ name }) => name !== ".git").sort((a, b) => a.name < b.name ? -1 : 1);
    } catch (error) {
      if (isDenial(error)) this.denied.add(directory);
      return [];
    }
  }
}

/** Returns the index of the first of sorted entries whose name is not before a text. */
function firstFrom(entries: readonly Deno.DirEntry[], text: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.name ?? "") < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether a declared path, glob or not, covers a path: is it, matches it, or is above it. */
export function covers(declared: string, path: string): boolean {
  if (isWithin(path, declared)) return true;
  if (!hasMagic(declared)) return false;
  const expression = globExpression(declared);
  for (let at = path; at !== "."; at = parentPath(at)) if (expression.test(at)) return true;
  return false;
}

function patternParts(path: string): string[] {
  const prefix = fixedPrefix(path);
  return path.split("/").slice(prefix === "." ? 0 : prefix.split("/").length);
}

/** Where a glob is looked for, and what has been found. */
interface Search {
  readonly root: string;
  readonly found: string[];
  readonly listing: Listing;
}

function matchBelow(search: Search, directory: string, parts: readonly string[]): void {
  const [part, ...rest] = parts;
  if (part === undefined) {
    search.found.push(directory);
    return;
  }
  if (part === "**") {
    // No directory, or one more: links are not followed, so this ends.
    if (rest.length > 0) matchBelow(search, directory, rest);
    for (const entry of search.listing.entries(directory)) {
      if (entry.name.startsWith(".")) continue;
      const path = joinPath(directory, entry.name);
      if (entry.isDirectory) matchBelow(search, path, parts);
      if (rest.length === 0) search.found.push(path);
    }
    return;
  }
  if (!hasMagic(part)) {
    const path = joinPath(directory, part);
    try {
      Deno.lstatSync(`${search.root}/${path}`);
    } catch (error) {
      if (isDenial(error)) search.listing.denied.add(directory);
      return;
    }
    matchBelow(search, path, rest);
    return;
  }
  const expression = new RegExp(`^${namePattern(part)}$`, "s");
  // Of many tasks each has few of the names: most are left out without the expression.
  const [start = ""] = /^[^*?[]*/.exec(part) ?? [];
  const [end = ""] = /[^*?[\]]*$/.exec(part) ?? [];
  for (const { name } of search.listing.entries(directory, start)) {
    if (!name.endsWith(end)) continue;
    if (expression.test(name)) matchBelow(search, joinPath(directory, name), rest);
  }
}

/** Returns the expression for the paths that {@link expandPath} finds, without a look at any. */
function globExpression(glob: string): RegExp {
  const parts = glob.split("/");
  const last = parts.length - 1;
  const joined = parts.map((part, index) =>
    part === "**"
      ? `(?:${ANY_NAME}/)*${index === last ? ANY_NAME : ""}`
      : `${namePattern(part)}${index === last ? "" : "/"}`
  ).join("");
  return new RegExp(`^${joined}$`, "s");
}

/** The expression for a name in place of `**`. */
const ANY_NAME = "(?!\\.)[^/]+";

/**
 * Returns the expression for one name of a glob, by the rules of Python's `fnmatch`; only a dot matches
 * a dot at its start, and nothing a slash.
 */
function namePattern(part: string): string {
  let expression = part.startsWith(".") ? "" : "(?!\\.)";
  for (let at = 0; at < part.length; at++) {
    const character = part.charAt(at);
    if (character === "*") expression += "[^/]*";
    else if (character === "?") expression += "[^/]";
    else if (character === "[") {
      const end = part.indexOf("]", at + (part.charAt(at + 1) === "!" ? 3 : 2));
      if (end < 0) expression += "\\[";
      else {
        // Also in a range: `[+-9]`.
        expression += `(?!/)${setPattern(part.slice(at + 1, end))}`;
        at = end;
      }
    } else expression += character.replace(/[\\^$.|+(){}\]]/g, "\\$&");
  }
  return expression;
}

/** Returns the expression for a set; a range from a later character to an earlier one is empty. */
function setPattern(set: string): string {
  const escaped = (character: string) => character.replace(/[\\[\]^-]/, "\\$&");
  const members = set.replace(/^!/, "").replace(
    /([^])-([^])|[^]/g,
    (member, low?: string, high?: string) =>
      low === undefined || high === undefined
        ? escaped(member)
        : low > high
        ? ""
        : `${escaped(low)}-${escaped(high)}`,
  );
  return `[${set.startsWith("!") ? "^" : ""}${members}]`;
}
