import { cloneId, type Dataset, openDataset, refuseAdjustedBranch } from "../dataset/dataset.ts";
import { ToolError } from "../errors.ts";
import { OWN_KEYS, SETTINGS } from "../dataset/settings.ts";
import { requireIdentity } from "../git/identity.ts";
import { listEntries } from "../store/journal.ts";
import { describeHolder, inspectLock } from "../store/lock.ts";
import { endingOf, ownIdentity } from "../store/lock_identity.ts";
import { type Check, ok, problem, warning } from "./checks.ts";

/** A lock whose holder's heart has not beaten for so long is worth a word, in milliseconds. */
const QUIET_MS = 90_000;

/** git's own lock of the index is held for moments, in milliseconds. */
const INDEX_LOCK_MS = 10 * 60_000;

/** What was found of a dataset: the dataset, or why there is none. */
export interface FoundDataset {
  readonly dataset: Dataset | undefined;
  readonly checks: readonly Check[];
}

/** Opens the dataset; without one that is named there need not be any. */
export async function findDataset(directory: string | undefined): Promise<FoundDataset> {
  const name = "dataset";
  try {
    const dataset = await openDataset(directory);
    const what = dataset.id === undefined ? "A git repository" : "A dataset";
    const annex = dataset.hasAnnex ? "with an annex" : "without an annex";
    return {
      dataset,
      checks: [ok(name, `${what} ${annex} at ${JSON.stringify(dataset.root)}`)],
    };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    if (directory === undefined && error.message.startsWith("No dataset at")) {
      return {
        dataset: undefined,
        checks: [ok(name, "None here; call doctor in one to check it")],
      };
    }
    return { dataset: undefined, checks: [asProblem(name, error)] };
  }
}

function asProblem(name: string, error: ToolError): Check {
  const said = error.details?.split("\n").find((line) => /fatal:|error:/.test(line));
  return problem(
    name,
    said === undefined ? error.message : `${error.message}: ${said.trim()}`,
    error.hint ?? "See what git says: git status",
  );
}

/** Looks at who commits, at the branch, and at git's own lock. */
export async function checkDataset(dataset: Dataset): Promise<Check[]> {
  return [
    await checkIdentity(dataset),
    checkBranch(dataset),
    checkSettings(dataset),
    ...checkIndexLock(dataset),
    ...checkClone(dataset),
  ];
}

/** Values have been looked at when the dataset was opened. */
function checkSettings({ configuration }: Dataset): Check {
  const name = "settings";
  const known = [...SETTINGS.map(({ key }) => key), ...OWN_KEYS];
  const set = configuration.entries("datalad-slurm.").map(([key]) => key);
  const unknown = set.filter((key) => !known.includes(key));
  const used = set.filter((key) => !OWN_KEYS.includes(key));
  return unknown.length > 0
    ? warning(
      name,
      `The configuration has unknown keys: ${unknown.join(", ")}`,
      "See those that there are with: datalad-slurm help config",
    )
    : ok(
      name,
      used.length === 0
        ? "The configuration sets no defaults of datalad-slurm"
        : `The configuration sets ${used.join(", ")}`,
    );
}

/** Looks at what was left by commands that were cut short. */
export function checkLeftovers(dataset: Dataset): Check[] {
  return [checkLock(dataset), checkJournal(dataset)];
}

async function checkIdentity({ root, configuration }: Dataset): Promise<Check> {
  try {
    await requireIdentity(root, configuration);
    return ok("identity", "git knows who commits here");
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return problem("identity", error.message, error.hint ?? "");
  }
}

function checkBranch(dataset: Dataset): Check {
  const { branch } = dataset.repository;
  const name = "branch";
  try {
    refuseAdjustedBranch(dataset);
  } catch (error) {
    if (error instanceof ToolError) return asProblem(name, error);
    throw error;
  }
  return branch === "HEAD"
    ? warning(
      name,
      "HEAD is detached: git forgets commits made here once another commit is checked out",
      "Make a branch of it: git switch -c NAME",
    )
    : ok(name, `On branch ${JSON.stringify(branch.replace("refs/heads/", ""))}`);
}

function checkLock({ store }: Dataset): Check {
  const name = "repository lock";
  const { holder, heartbeatAgeMs } = inspectLock(store.lock);
  if (holder === undefined) return ok(name, "Nobody holds it");
  const who = describeHolder(holder);
  if (holder.info !== undefined && endingOf(holder.info, ownIdentity()) === "gone") {
    return ok(name, `Left by a process that has ended, ${who}; the next command clears it away`);
  }
  return heartbeatAgeMs !== undefined && heartbeatAgeMs > QUIET_MS
    ? warning(
      name,
      `Held by ${who}, who has shown no life for ${Math.round(heartbeatAgeMs / 1000)} s`,
      `If you know that it is dead: datalad-slurm unlock --force ${holder.token}`,
    )
    : ok(name, `Held by ${who}`);
}

function checkJournal({ store }: Dataset): Check {
  const name = "journal";
  const count = listEntries(store.journal).length;
  return count === 0 ? ok(name, "No operation is in flight") : warning(
    name,
    count === 1
      ? "One operation is in flight or was cut short"
      : `${count} operations are in flight or were cut short`,
    "See which: datalad-slurm recover --report; the next command goes on with them",
  );
}

function checkIndexLock({ repository: { gitDirectory } }: Dataset): Check[] {
  const path = `${gitDirectory}/index.lock`;
  let made: Date | null;
  try {
    made = Deno.statSync(path).mtime;
  } catch {
    return [];
  }
  if (made === null || Date.now() - made.getTime() < INDEX_LOCK_MS) return [];
  return [problem(
    "index",
    `git's lock of the index is ${Math.round((Date.now() - made.getTime()) / 60_000)} min old`,
    `If no git command is at work here, remove ${JSON.stringify(path)}`,
  )];
}

/** Without an id of its own a clone gets one with its first job. */
function checkClone(dataset: Dataset): Check[] {
  const id = cloneId(dataset);
  return id === undefined ? [] : [ok("clone", `Records name this clone as ${id}`)];
}
