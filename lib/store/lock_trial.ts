import { acquireLock } from "./lock.ts";
import { isOneOf, list } from "./lock_layout.ts";

/** What the repository lock asks of a file system. */
export interface Directories {
  mkdirSync(path: string): void;
  renameSync(from: string, to: string): void;
}

/**
 * Tries in an empty directory what the lock is made of, and returns what is wrong with it, in a
 * sentence each. Throws what the file system throws for want of space or permission.
 */
export function tryRenames(directory: string, fs: Directories = Deno): string[] {
  const wrong: string[] = [];
  const nest = (name: string) => {
    fs.mkdirSync(`${directory}/${name}`);
    fs.mkdirSync(`${directory}/${name}/${name}`);
  };
  nest("a");
  nest("b");
  fs.mkdirSync(`${directory}/L`);
  try {
    fs.renameSync(`${directory}/a`, `${directory}/L`);
  } catch (error) {
    // Then the lock removes the empty directory first.
    if (!isOneOf(error, ["ENOTEMPTY", "EEXIST"])) throw error;
    Deno.removeSync(`${directory}/L`);
    fs.renameSync(`${directory}/a`, `${directory}/L`);
  }
  if (!isEqual(list(`${directory}/L`), ["a"])) {
    wrong.push("A directory that was renamed is not seen under its new name at once");
  }
  try {
    fs.renameSync(`${directory}/b`, `${directory}/L`);
    wrong.push("A directory can be renamed onto one that is not empty");
  } catch (error) {
    if (!isOneOf(error, ["ENOTEMPTY", "EEXIST"])) throw error;
  }
  if (!isEqual(list(`${directory}/L`), ["a"])) {
    wrong.push("A rename that was refused has changed what it was refused for");
  }
  return wrong;
}

function isEqual(names: string[] | undefined, expected: readonly string[]): boolean {
  return names?.join("/") === expected.join("/");
}

/** How many processes try, and how often each holds the lock. */
export const TRIAL = { processes: 4, rounds: 10 } as const;

/**
 * Holds a lock in a directory several times, beside other processes that do the same, and returns
 * how often another one was there too, or its last change was not seen. Rejects when the lock
 * cannot be had.
 */
export async function holdInTurn(directory: string): Promise<number> {
  let collisions = 0;
  for (let round = 0; round < TRIAL.rounds; round++) {
    const lock = await acquireLock({
      directory: `${directory}/lock`,
      command: "datalad-slurm doctor",
      timeoutMs: 20_000,
      // Nothing is published, so nobody has to be kept from it.
      fence: () => Promise.resolve(),
    });
    try {
      if (!takeTurn(directory)) collisions++;
    } finally {
      lock.release();
    }
  }
  return collisions;
}

/** Whether one is alone: no other is inside, and the count of turns has no gap and no repetition. */
function takeTurn(directory: string): boolean {
  try {
    Deno.mkdirSync(`${directory}/inside`);
  } catch (error) {
    if (isOneOf(error, ["EEXIST"])) return false;
    throw error;
  }
  const turns = list(`${directory}/turns`)?.length ?? 0;
  try {
    Deno.mkdirSync(`${directory}/turns/${turns}`);
    return true;
  } catch (error) {
    // The turn of somebody else was not seen.
    if (isOneOf(error, ["EEXIST"])) return false;
    throw error;
  } finally {
    Deno.removeSync(`${directory}/inside`);
  }
}
