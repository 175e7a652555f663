import assert from "node:assert/strict";
import { ToolError } from "../../lib/errors.ts";
import {
  acquireLock,
  breakLock,
  inspectLock,
  type LockOptions,
  type LockTiming,
} from "../../lib/store/lock.ts";
import { ownIdentity, type ProcessIdentity } from "../../lib/store/lock_identity.ts";
import { list } from "../../lib/store/lock_layout.ts";
import {
  deadIdentity,
  environment,
  leftovers,
  plantHolder,
  until,
  withLockDirectory,
} from "./lock_support.ts";

const noFence = () => Promise.resolve();
/** Minutes in milliseconds, so that no test waits for long. */
const quick: Partial<LockTiming> = {
  quietMs: 40,
  silenceMs: 100,
  silenceLooks: 2,
  noticeMs: 20,
  checkMs: 20,
};

function optionsFor(directory: string, more: Partial<LockOptions> = {}): LockOptions {
  return { directory, command: "datalad-slurm test", fence: noFence, timing: quick, ...more };
}

async function isRefused(options: LockOptions): Promise<ToolError> {
  try {
    (await acquireLock({ timeoutMs: 150, ...options })).release();
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "The lock was acquired" });
}

Deno.test("a lock that is released leaves nothing behind", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    assert.equal(lock.isHeld(), true);
    assert.equal(inspectLock(directory).holder?.info?.command, "datalad-slurm test");
    lock.release();
    lock.release();
    assert.equal(lock.isHeld(), false);
    assert.deepEqual(leftovers(directory), []);
    assert.deepEqual(inspectLock(directory), {
      holder: undefined,
      heartbeatAgeMs: undefined,
      queue: [],
    });
  }));

Deno.test("one who waits too long is told who holds the lock, and leaves no ticket", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    const error = await isRefused(optionsFor(directory));
    assert.equal(error.kind, "locked");
    assert.match(error.message, /locked by .+@.+ \(.*pid \d+\), "datalad-slurm test" \(working\)/);
    assert.match(error.hint ?? "", new RegExp(`unlock --force ${lock.token}`));
    assert.equal(lock.isHeld(), true);
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("a timeout of zero is one try", () =>
  withLockDirectory(async (directory) => {
    (await acquireLock(optionsFor(directory, { timeoutMs: 0 }))).release();
    const lock = await acquireLock(optionsFor(directory));
    assert.equal((await isRefused(optionsFor(directory, { timeoutMs: 0 }))).kind, "locked");
    lock.release();
  }));

Deno.test("one who waits hears of holder and place, and acquires after the release", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory, { command: "the first" }));
    const heard: string[] = [];
    const second = acquireLock(optionsFor(directory, {
      onWait: (holder, place) => heard.push(`${place} ${holder.info?.command}`),
    }));
    await until(() => heard.length > 0);
    lock.release();
    (await second).release();
    assert.equal(heard[0], "1 the first");
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("an aborted wait ends at once as interrupted and leaves no ticket", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    const controller = new AbortController();
    const refused = isRefused(
      optionsFor(directory, { signal: controller.signal, timeoutMs: 60_000 }),
    );
    await until(() => inspectLock(directory).queue.length === 1);
    controller.abort();
    assert.equal((await refused).kind, "interrupted");
    assert.equal(inspectLock(directory).queue.length, 0);
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("the lock of a killed process is broken, after the fence", () =>
  withLockDirectory(async (directory) => {
    const token = plantHolder(directory, await deadIdentity());
    const fenced: string[] = [];
    const fence = (dead: string, text: string) => {
      assert.equal(inspectLock(directory).holder?.token, token, "fenced before broken");
      fenced.push(dead, text);
      return Promise.resolve();
    };
    const lock = await acquireLock(optionsFor(directory, { fence }));
    assert.equal(fenced[0], token);
    assert.ok(fenced[1]?.startsWith(token) && fenced[1].length > token.length + 30);
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("the lock of a dead holder stays while the fence fails", () =>
  withLockDirectory(async (directory) => {
    const token = plantHolder(directory, await deadIdentity());
    const fence = () => Promise.reject(new ToolError("external", "No git"));
    assert.equal((await isRefused(optionsFor(directory, { fence }))).message, "No git");
    assert.deepEqual(leftovers(directory).length, 2);
    const lock = await acquireLock(optionsFor(directory));
    assert.notEqual(lock.token, token);
    lock.release();
  }));

Deno.test("of two breakers parked before their rmdir the late one breaks nothing", () =>
  withLockDirectory(async (directory) => {
    plantHolder(directory, await deadIdentity());
    const gates: (() => void)[] = [];
    const fence = () => new Promise<void>((resolve) => gates.push(resolve));
    const both = [1, 2].map(() => acquireLock(optionsFor(directory, { fence })));
    await until(() => gates.length === 2);
    gates[0]?.();
    const first = await Promise.race(both);
    gates[1]?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(first.isHeld(), true);
    first.release();
    for (const lock of await Promise.all(both)) lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("a breaker parked over release and re-acquisition breaks nothing", () =>
  withLockDirectory(async (directory) => {
    const token = plantHolder(directory, ownIdentity());
    let open = () => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    const broken = breakLock(directory, token, () => gate);
    assert.equal(await breakLock(directory, token, noFence), "broken");
    const lock = await acquireLock(optionsFor(directory));
    open();
    assert.equal(await broken, "gone");
    assert.equal(lock.isHeld(), true);
    lock.release();
  }));

Deno.test("a holder whose lock was broken by force knows it", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    assert.equal(await breakLock(directory, lock.token, noFence), "broken");
    assert.equal(lock.isHeld(), false);
    assert.throws(() => lock.phase("refs only"), { kind: "locked" });
    const other = await acquireLock(optionsFor(directory));
    lock.release();
    assert.equal(other.isHeld(), true);
    other.release();
    assert.deepEqual(leftovers(directory), []);
  }));

/** Of processes that are in no container. */
const MACHINE = "pid:[4026531836] time:[4026531834]";

Deno.test("a phase that cannot be told leaves the lock held, and to be released", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    const rename = Deno.renameSync;
    Deno.renameSync = (path) => {
      throw Object.assign(new Error(`EIO: ${path}`), { code: "EIO" });
    };
    try {
      assert.throws(() => lock.phase("refs only"), { kind: "refused" });
    } finally {
      Deno.renameSync = rename;
    }
    assert.equal(lock.isHeld(), true);
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("a process whose release failed gets the lock again, and waits not for itself", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    const remove = Deno.removeSync;
    Deno.removeSync = (path, options) => {
      if (!String(path).includes("/lock/L/")) return remove(path, options);
      throw Object.assign(new Error(`EIO: ${path}`), { code: "EIO" });
    };
    try {
      assert.throws(() => lock.release(), /EIO/);
      assert.match((await isRefused(optionsFor(directory))).details ?? "", /EIO/);
    } finally {
      Deno.removeSync = remove;
    }
    const again = await acquireLock(optionsFor(directory, { timeoutMs: 2_000 }));
    assert.equal(again.isHeld(), true);
    again.release();
    assert.equal(inspectLock(directory).holder, undefined);
  }));

const cases: {
  readonly title: string;
  readonly change: Partial<ProcessIdentity>;
  /** What is different about the one who looks. */
  readonly observer?: Partial<ProcessIdentity>;
  readonly phase?: string;
  readonly dead?: boolean;
  readonly jobOver?: boolean;
  readonly broken: boolean;
}[] = [
  { title: "an ended process", change: {}, dead: true, broken: true },
  { title: "a pid that another process has got", change: { startTime: "1" }, broken: true },
  { title: "a living process", change: {}, broken: false },
  {
    title: "another boot of this machine",
    change: { bootId: "other", namespaces: MACHINE },
    observer: { namespaces: MACHINE },
    broken: true,
  },
  {
    title: "another boot where the name may be another's",
    change: { bootId: "other", namespaces: "pid:[1] time:[1]" },
    broken: false,
  },
  { title: "another host", change: { host: "other" }, dead: true, broken: false },
  {
    title: "a pid in another namespace",
    change: { namespaces: "pid:[1] time:[1]" },
    dead: true,
    broken: false,
  },
  { title: "a process of which /proc said nothing", change: { startTime: "" }, broken: false },
  {
    title: "another host whose job has ended",
    change: { host: "other", slurmJobId: "7" },
    jobOver: true,
    broken: true,
  },
  {
    title: "another host of whose job the scheduler knows nothing",
    change: { host: "other", slurmJobId: "7" },
    broken: false,
  },
  {
    title: "a silent holder on another host that changes refs only",
    change: { host: "other" },
    phase: "refs only",
    broken: true,
  },
  { title: "a silent holder on another host at work", change: { host: "other" }, broken: false },
];

for (const { title, change, observer, phase, dead, jobOver, broken } of cases) {
  Deno.test(`${title} is ${broken ? "" : "not "}broken`, () =>
    withLockDirectory(async (directory) => {
      const identity = { ...(dead ? await deadIdentity() : ownIdentity()), ...change };
      const token = plantHolder(directory, identity, phase);
      const options = optionsFor(directory, {
        isJobOver: ({ slurmJobId }) => Promise.resolve(slurmJobId === "7" ? jobOver : undefined),
        identity: { ...ownIdentity(), ...observer },
      });
      if (broken) (await acquireLock(options)).release();
      else assert.equal((await isRefused({ ...options, timeoutMs: 500 })).kind, "locked");
      assert.equal(inspectLock(directory).holder?.token, broken ? undefined : token);
    }));
}

Deno.test("a beating heart on another host is neither silent nor quiet", () =>
  withLockDirectory(async (directory) => {
    const identity = { ...ownIdentity(), host: "other", slurmJobId: "7" };
    const lock = await acquireLock(
      optionsFor(directory, { identity, phase: "refs only", timing: { heartbeatMs: 15 } }),
    );
    const error = await isRefused(optionsFor(directory, {
      isJobOver: () => Promise.resolve(true),
      timing: { ...quick, silenceMs: 400, silenceLooks: 2, quietMs: 400 },
      timeoutMs: 1000,
    }));
    assert.equal(error.kind, "locked");
    assert.match(error.message, /last heartbeat 20/);
    assert.equal(lock.isHeld(), true);
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("a holder without a heartbeat for too long gives up", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory, { timing: { lostAfterMs: 1 } }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.throws(() => lock.assertHeld(), { kind: "locked" });
    lock.release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("a child that carries the token of a dead holder keeps its lock, except for refs", () =>
  withLockDirectory(async (directory) => {
    const dead = await deadIdentity();
    const token = plantHolder(directory, dead, "annex add");
    const child = new Deno.Command("sleep", {
      args: ["60"],
      env: { DATALAD_SLURM_LOCK_TOKEN: token },
    }).spawn();
    await until(() => Deno.readTextFileSync(`/proc/${child.pid}/cmdline`).includes("sleep\0"));
    assert.equal((await isRefused(optionsFor(directory))).kind, "locked");
    child.kill("SIGKILL");
    await child.status;
    (await acquireLock(optionsFor(directory))).release();
  }));

Deno.test("leftovers of dead processes go, those of living ones stay", () =>
  withLockDirectory(async (directory) => {
    const dead = plantHolder(directory, await deadIdentity());
    Deno.mkdirSync(`${directory}/hb.${dead}/3`, { recursive: true });
    Deno.mkdirSync(`${directory}/t.${dead}/${dead}~working`, { recursive: true });
    Deno.mkdirSync(`${directory}/q/000000000000001-${dead}`);
    Deno.removeSync(`${directory}/L`, { recursive: true });
    const living = plantHolder(directory, { ...ownIdentity(), host: "other" });
    Deno.removeSync(`${directory}/L`, { recursive: true });
    (await acquireLock(optionsFor(directory))).release();
    assert.deepEqual(leftovers(directory), [`info.${living}.json`]);
  }));

Deno.test("a candidate that was taken away is made anew", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory));
    const second = acquireLock(optionsFor(directory));
    await until(() => inspectLock(directory).queue.length === 1);
    for (const name of list(directory) ?? []) {
      if (name.startsWith("t.")) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
    lock.release();
    (await second).release();
    assert.deepEqual(leftovers(directory), []);
  }));

Deno.test("all that others have to change carries the shared mode", () =>
  withLockDirectory(async (directory) => {
    const lock = await acquireLock(optionsFor(directory, { sharedMode: 0o2770 }));
    const mode = (path: string) => (Deno.statSync(`${directory}/${path}`).mode ?? 0) & 0o7777;
    for (const path of ["..", ".", "q", "L"]) assert.equal(mode(path), 0o2770, path);
    assert.equal(mode(`info.${lock.token}.json`), 0o660);
    lock.release();
  }));

Deno.test("a directory that cannot be used is refused by name", () =>
  withLockDirectory(async (directory) => {
    const parent = directory.replace(/\/datalad-slurm\/lock$/, "");
    Deno.writeTextFileSync(`${parent}/datalad-slurm`, "");
    const error = await isRefused(optionsFor(directory));
    assert.equal(error.kind, "refused");
    assert.match(error.message, /^Cannot lock the repository in ".+"$/);
  }));

Deno.test("a process in another pid namespace proves nothing by its pids", async (t) => {
  const unshare = ["unshare", "--pid", "--uts", "--fork", "--mount-proc"];
  const [program = "", ...args] = unshare;
  const permitted = await new Deno.Command(program, { args: [...args, "true"], stderr: "null" })
    .output().then((output) => output.success, () => false);
  const ignore = !permitted;
  if (ignore) console.log("    skipped: unshare --pid is not permitted here");
  await t.step({
    name: "with a /proc of its own and the same host name and boot",
    ignore,
    fn: () =>
      withLockDirectory(async (directory) => {
        plantHolder(directory, await deadIdentity());
        const module = new URL("../../lib/store/lock.ts", import.meta.url).href;
        const script = `const { acquireLock } = await import(${JSON.stringify(module)});
          try {
            await acquireLock({ directory: ${JSON.stringify(directory)}, command: "x",
              timeoutMs: 300, fence: () => Promise.resolve() });
            console.log("broken");
          } catch (error) { console.log(Deno.pid, error.kind); }`;
        const config = new URL("../../deno.json", import.meta.url).pathname;
        const output = await new Deno.Command(program, {
          args: [...args, Deno.execPath(), "eval", "--no-check", `--config=${config}`, script],
          env: environment(),
          clearEnv: true,
        }).output();
        assert.match(new TextDecoder().decode(output.stdout), /^\d+ locked\n$/);
        (await acquireLock(optionsFor(directory))).release();
      }),
  });
});
