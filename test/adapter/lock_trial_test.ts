import assert from "node:assert/strict";
import { holdInTurn, TRIAL, tryRenames } from "../../lib/store/lock_trial.ts";

async function inScratch(test: (directory: string) => Promise<void> | void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "lock_trial_test" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("this file system renames directories as the lock needs it", () =>
  inScratch((directory) => assert.deepEqual(tryRenames(directory), [])));

Deno.test("a file system that replaces what is not empty is found out", () =>
  inScratch((directory) =>
    assert.deepEqual(
      tryRenames(directory, {
        mkdirSync: (path) => Deno.mkdirSync(path),
        renameSync(from, to) {
          Deno.removeSync(to, { recursive: true });
          Deno.renameSync(from, to);
        },
      }),
      [
        "A directory can be renamed onto one that is not empty",
        "A rename that was refused has changed what it was refused for",
      ],
    )
  ));

Deno.test("a file system that shows a rename late is found out", () =>
  inScratch((directory) => {
    const found = tryRenames(directory, {
      mkdirSync: (path) => Deno.mkdirSync(path),
      renameSync: () => {},
    });
    assert.equal(found[0], "A directory that was renamed is not seen under its new name at once");
  }));

Deno.test("a file system that renames onto no directory at all will do", () =>
  inScratch((directory) =>
    assert.deepEqual(
      tryRenames(directory, {
        mkdirSync: (path) => Deno.mkdirSync(path),
        renameSync(from, to) {
          try {
            Deno.lstatSync(to);
          } catch {
            return Deno.renameSync(from, to);
          }
          throw Object.assign(new Error("exists"), { code: "EEXIST" });
        },
      }),
      [],
    )
  ));

Deno.test("several that hold the lock in turn are never two, and an intruder is noticed", () =>
  inScratch(async (directory) => {
    await Deno.mkdir(`${directory}/turns`);
    assert.deepEqual(await Promise.all([holdInTurn(directory), holdInTurn(directory)]), [0, 0]);
    assert.equal([...Deno.readDirSync(`${directory}/turns`)].length, 2 * TRIAL.rounds);
    // Somebody is inside without the lock.
    await Deno.mkdir(`${directory}/inside`);
    assert.equal(await holdInTurn(directory), TRIAL.rounds);
    await Deno.remove(`${directory}/inside`);
    // A turn that the listing does not show.
    await Deno.remove(`${directory}/turns/0`);
    assert.equal(await holdInTurn(directory), TRIAL.rounds);
  }));
