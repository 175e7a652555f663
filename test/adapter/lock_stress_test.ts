import assert from "node:assert/strict";
import { acquireLock } from "../../lib/store/lock.ts";
import { list } from "../../lib/store/lock_layout.ts";
import {
  countCommits,
  isStopped,
  leftovers,
  makeRepository,
  overlaps,
  startWorker,
  until,
  withLockDirectory,
} from "./lock_support.ts";
import type { WorkerLine } from "./lock_worker.ts";

/** A number greater than 1 makes the long form: so many times the holds, and all the steps. */
const STRESS = Number(Deno.env.get("DATALAD_SLURM_STRESS") ?? "1");

const noFence = () => Promise.resolve();

function sorted(lines: readonly WorkerLine[]): WorkerLine[] {
  return [...lines].sort((a, b) => a.time - b.time);
}

/** Tidies up as commands that come later do, and returns what is still there. */
async function leftoversInTheEnd(directory: string): Promise<string[]> {
  for (let i = 0; i < 200 && leftovers(directory).length > 0; i++) {
    (await acquireLock({ directory, command: "test", fence: noFence })).release();
  }
  return leftovers(directory);
}

Deno.test("the harness catches a naive lock, and finds no overlap in ours, under kills", () =>
  withLockDirectory(async (directory) => {
    for (const kind of ["naive lock", "repository lock"] as const) {
      let found = 0;
      let holds = 0;
      let kills = 0;
      for (let round = 0; round < (kind === "naive lock" ? 20 : STRESS); round++) {
        Deno.mkdirSync(directory, { recursive: true });
        // Half of them are killed while they hold the lock.
        const workers = Array.from({ length: 8 }, (_, index) =>
          startWorker({
            directory,
            kind,
            holds: 60,
            holdMs: 2,
            ...(index % 2 === 0 ? {} : { dieInHold: 4 + index }),
          }));
        for (const { child } of workers) {
          if ((await child.status).signal === "SIGKILL") kills += 1;
        }
        const lines = (await Promise.all(workers.map((worker) => worker.lines))).flat();
        found += overlaps(lines);
        holds += lines.filter((line) => line.event === "begin").length;
        if (kind === "naive lock" && found > 0) break;
      }
      console.log(`    ${kind}: ${holds} holds, ${kills} kills, ${found} overlaps`);
      if (kind === "naive lock") assert.ok(found > 0, "the naive lock was not caught");
      else assert.equal(found, 0);
    }
    assert.deepEqual(await leftoversInTheEnd(directory), []);
  }));

Deno.test("a kill at each step of acquire, work and release leaves a lock that others get", () =>
  withLockDirectory(async (directory) => {
    const steps = STRESS > 1 ? 16 : 12;
    let kills = 0;
    for (let step = 1; step <= steps; step++) {
      for (const dieAfter of [false, true]) {
        const { child, lines } = startWorker({ directory, dieAtChange: step, dieAfter });
        if ((await child.status).signal === "SIGKILL") kills += 1;
        await lines;
        const lock = await acquireLock({
          directory,
          command: "test",
          fence: noFence,
          timeoutMs: 10_000,
        });
        assert.equal(lock.isHeld(), true);
        lock.release();
      }
    }
    console.log(`    ${kills} kills at ${steps} steps`);
    // The first acquisition makes three directories more than the later ones; release is included.
    assert.ok(kills >= 12, `${kills} kills`);
    assert.deepEqual(await leftoversInTheEnd(directory), []);
  }));

Deno.test("a breaker that dies between fence and rmdir leaves the break to the next", () =>
  withLockDirectory(async (directory) => {
    const holder = startWorker({ directory, stop: true });
    await until(() => isStopped(holder.child.pid));
    holder.child.kill("SIGKILL");
    await holder.lines;
    const breaker = startWorker({ directory, dieInFence: true });
    assert.deepEqual((await breaker.lines).map((line) => line.event), ["fenced"]);
    assert.equal(list(`${directory}/L`)?.length, 1);
    const next = startWorker({ directory });
    assert.deepEqual((await next.lines).map((line) => line.event), ["fenced", "begin", "end"]);
    assert.deepEqual(await leftoversInTheEnd(directory), []);
  }));

Deno.test("git rejects a holder that was stopped, broken and resumed", () =>
  withLockDirectory(async (directory) => {
    const repository = directory.replace(/\/datalad-slurm\/lock$/, "/repository");
    await makeRepository(repository);
    const stopped = startWorker({ directory, repository, phase: "refs only", stop: true });
    await until(() => isStopped(stopped.child.pid));
    const timing = { silenceMs: 200, silenceLooks: 2 };
    const other = startWorker({ directory, repository, timing });
    const events = (lines: WorkerLine[]) => lines.map((line) => line.event);
    // The one that broke the lock had read the epoch before: rejected once, then it publishes.
    assert.deepEqual(events(await other.lines), [
      ...["fenced", "begin", "rejected", "end"],
      ...["begin", "published", "end"],
    ]);
    assert.equal(await countCommits(repository), 2);
    stopped.child.kill("SIGCONT");
    assert.deepEqual(events(await stopped.lines), ["begin", "rejected", "end"]);
    assert.equal(await countCommits(repository), 2);
  }));

Deno.test("N processes that make M commits each make exactly N times M", () =>
  withLockDirectory(async (directory) => {
    const repository = directory.replace(/\/datalad-slurm\/lock$/, "/repository");
    await makeRepository(repository);
    const [processes, commits] = [6, 5 * STRESS];
    const workers = Array.from(
      { length: processes },
      () => startWorker({ directory, repository, holds: commits, phase: "refs only" }),
    );
    const lines = (await Promise.all(workers.map((worker) => worker.lines))).flat();
    assert.equal(await countCommits(repository), 1 + processes * commits);
    assert.equal(overlaps(lines), 0);
  }));

Deno.test("of 64 that want the lock at the same time nobody starves", () =>
  withLockDirectory(async (directory) => {
    const each = 3 * STRESS;
    const workers = Array.from(
      { length: 64 },
      () => startWorker({ directory, holds: each, holdMs: 3 }),
    );
    const lines = sorted((await Promise.all(workers.map((worker) => worker.lines))).flat());
    const begins = lines.filter((line) => line.event === "begin");
    const longest = Math.max(...begins.map((line) => line.waitedMs ?? 0));
    console.log(`    64 x ${each} holds, longest wait ${longest.toFixed(0)} ms`);
    assert.equal(begins.length, 64 * each);
    assert.equal(overlaps(lines), 0);
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test({
  name: "of 1,000 that want the lock at the same time nobody starves",
  ignore: STRESS <= 1,
  fn: () =>
    withLockDirectory(async (directory) => {
      const options = { directory, contenders: 40, holds: 1, holdMs: 1 };
      const workers = Array.from({ length: 25 }, () => startWorker(options));
      const lines = sorted((await Promise.all(workers.map((worker) => worker.lines))).flat());
      const waits = lines.filter(({ event }) => event === "begin").map(({ waitedMs = 0 }) =>
        waitedMs
      );
      const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
      const longest = Math.max(...waits);
      console.log(
        `    ${waits.length} holds of 1,000, mean wait ${mean.toFixed(0)} ms, ` +
          `longest ${longest.toFixed(0)} ms`,
      );
      assert.equal(waits.length, 1_000);
      assert.equal(overlaps(lines), 0);
      assert.deepEqual(leftovers(directory), []);
    }),
});

const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

Deno.test({
  name: "clocks that are a day apart make no difference",
  ignore: !exists(FAKETIME),
  fn: () =>
    withLockDirectory(async (directory) => {
      // Silence would be seen at once if the wall clock counted; the dead one has to be found too.
      const holder = startWorker({ directory, stop: true, phase: "refs only" });
      await until(() => isStopped(holder.child.pid));
      const workers = ["-1d", "+0d", "+1d"].map((shift) =>
        startWorker({ directory, holds: 4 }, [
          ...["env", `LD_PRELOAD=${FAKETIME}`, `FAKETIME=${shift}`],
          "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ])
      );
      await until(() => list(`${directory}/q`)?.length === 3);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(list(`${directory}/q`)?.length, 3, "nobody has broken a living holder's lock");
      holder.child.kill("SIGKILL");
      await holder.lines;
      const lines = (await Promise.all(workers.map((worker) => worker.lines))).flat();
      assert.equal(lines.filter((line) => line.event === "end").length, 12);
      assert.equal(overlaps(lines), 0);
    }),
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    console.log(`    ${path} is not installed`);
    return false;
  }
}
