import { externalError, run, text } from "../process/run.ts";
import { createCommit } from "./commit.ts";
import { gitEnvironment, WRITING_OBJECTS } from "./git.ts";
import type { StagedChange } from "./changes.ts";

/** One commit of a series: the changes it makes to its first parent's tree, and its message. */
export interface SeriesCommit {
  readonly message: string;
  readonly changes: readonly StagedChange[];
  /** Commits that exist, and numbers for commits of the series, counted from 0. */
  readonly parents: readonly (string | number)[];
}

/** Where a series of commits begins and who makes it. */
export interface SeriesOptions {
  /** A ref that names the last commit until the branch is moved. */
  readonly temporaryRef: string;
  /** `Name <email> seconds zone`, as `git var` prints it. */
  readonly author: string;
  readonly committer: string;
}

/**
 * Makes commits in one `git fast-import` and returns their ids. Trees are
 * built from the parent's, so the cost of a commit is that of its changes; neither the index nor
 * the work tree is looked at. Commits that are to be signed are made once more, one by one.
 */
export async function createCommitSeries(
  root: string,
  commits: readonly SeriesCommit[],
  options: SeriesOptions & { readonly sign: boolean },
): Promise<string[]> {
  const ids = await importSeries(root, commits, options);
  if (!options.sign) return ids;
  // `git fast-import` cannot sign (2.39), but its trees are right.
  const signed: string[] = [];
  for (const [index, { message, parents }] of commits.entries()) {
    signed.push(
      await createCommit(root, {
        tree: `${ids[index]}^{tree}`,
        parents: parents.map((parent) =>
          typeof parent === "number" ? signed[parent] ?? "" : parent
        ),
        message,
        sign: true,
      }),
    );
  }
  return signed;
}

async function importSeries(
  root: string,
  commits: readonly SeriesCommit[],
  options: SeriesOptions,
): Promise<string[]> {
  const result = await run([
    "git",
    "-c",
    "gc.auto=0",
    "fast-import",
    "--quiet",
    "--done",
    "--date-format=raw",
    "--force",
  ], {
    cwd: root,
    env: { ...gitEnvironment(), ...WRITING_OBJECTS },
    stdin: seriesStream(commits, options),
  });
  const ids = text(result.stdout).split("\n").filter((line) => line !== "");
  if (result.code !== 0 || ids.length !== commits.length) {
    throw externalError(result, "git fast-import could not make the commits");
  }
  return ids;
}

/** Returns the input of `git fast-import` for a series of commits. */
export function seriesStream(commits: readonly SeriesCommit[], options: SeriesOptions): string {
  const encoder = new TextEncoder();
  const parts: string[] = [];
  for (const [index, { message, changes, parents }] of commits.entries()) {
    parts.push(
      `commit ${options.temporaryRef}\n`,
      `mark :${index + 1}\n`,
      `author ${options.author}\n`,
      `committer ${options.committer}\n`,
      `data ${encoder.encode(message).length}\n${message}\n`,
      ...parents.map((parent, place) =>
        `${place === 0 ? "from" : "merge"} ${
          typeof parent === "number" ? `:${parent + 1}` : parent
        }\n`
      ),
      // Deletions first: a file may have made room for a directory of the same name, or the other
      // way round.
      ...changes.filter(({ mode }) => mode === undefined).map(({ path }) =>
        `D ${quotePath(path)}\n`
      ),
      ...changes.filter(({ mode }) => mode !== undefined).map(({ mode, object, path }) =>
        `M ${mode} ${object} ${quotePath(path)}\n`
      ),
      "\n",
    );
  }
  for (const index of commits.keys()) parts.push(`get-mark :${index + 1}\n`);
  parts.push("done\n");
  return parts.join("");
}

/** Returns a path as `git fast-import` reads it: in C quotes, where it needs them. */
function quotePath(path: string): string {
  if (!/^"|[\n\\]/.test(path)) return path;
  return `"${path.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}
