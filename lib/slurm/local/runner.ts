import type { Aside } from "../../process/aside.ts";
import { baseOf, filesOf, launch, scriptEnd, sessionOf, stopLine, writeLog } from "./launch.ts";
import { type Change, type Job, type Part, rawId, WHOLE } from "./job.ts";
import {
  hasArgument,
  hasVariable,
  jobProcesses,
  memoryOf,
  processesOf,
  signalAll,
  type Targets,
} from "./machine.ts";
import { lookupIn, plan } from "./plan.ts";
import { changeJob, liveIds, type LocalStore, readJob, readQuietly, withLock } from "./store.ts";

/** Between SIGTERM and SIGKILL, in seconds (Slurm's KillWait, there 30 by default). */
const KILL_WAIT = 5;

/** How long a runner stays for the next job when there is nothing to do, in seconds. */
const LINGER = 1;

/** How long a runner sleeps at most, in seconds, should a wake-up get lost. */
const LONGEST_SLEEP = 5;

/** How often jobs of an earlier runner, which tell nobody of their end, are looked at. */
const ADOPTED_SECONDS = 0.25;

/** A part that runs. */
interface Running {
  readonly jobId: number;
  readonly key: number;
  readonly base: string;
  /** The program that this runner started; undefined for one of an earlier runner. */
  readonly own: Aside | undefined;
  readonly since: number;
  ended: boolean;
  warned: boolean;
  /** When SIGTERM was sent. */
  stoppedAt?: number;
  isLate?: boolean;
  rssKib: number;
}

/**
 * Runs the jobs of a stand-in's folder until none is left that can run without somebody's doing.
 * Does nothing when another process is at it.
 */
export async function runJobs(store: LocalStore, cluster: string): Promise<void> {
  using lock = Deno.openSync(store.runner, { create: true, write: true });
  // Under the store's lock, as others try it who look for a runner: they are not taken for one.
  if (!withLock(store, () => lock.tryLockSync(true))) return;
  Deno.umask(0o077);
  const runner = new Runner(store, cluster);
  try {
    // The lock goes before the store's: whoever adds a job then sees that nobody is here.
    let hasLooked = false;
    while (!withLock(store, () => runner.pass() && release(lock))) {
      if (!hasLooked) Deno.writeTextFileSync(store.runner, `${Deno.pid}\n${HAS_LOOKED}\n`);
      hasLooked = true;
      await runner.sleep();
    }
  } finally {
    runner.close();
  }
}

/** Stands in the runner's file once it has seen what became of the jobs before it. */
export const HAS_LOOKED = "has looked";

function release(lock: Deno.FsFile): true {
  // Whoever sees the process still end must not take it for one that starts.
  lock.truncateSync();
  lock.unlockSync();
  return true;
}

class Runner {
  readonly #running = new Map<string, Running>();
  readonly #jobs = new Map<number, { readonly size: number; readonly job: Job }>();
  readonly #watcher: Deno.FsWatcher | undefined;
  #seenWakes = -1;
  #idleSince: number | undefined;
  #hasAdopted = false;
  #sampledAt = 0;
  #next = Infinity;
  #poke: () => void = () => {};
  #poked = false;

  constructor(private readonly store: LocalStore, private readonly cluster: string) {
    this.#watcher = watch(store.wake);
    this.#listen();
  }

  close(): void {
    this.#watcher?.close();
  }

  /** Does what is to be done now, under the store's lock; returns whether it is time to leave. */
  pass(): boolean {
    const now = Date.now() / 1000;
    this.#next = now + LONGEST_SLEEP;
    this.#readChanges();
    this.#adopt(now);
    for (const running of [...this.#running.values()]) this.#attend(running, now);
    this.#sample(now);
    const isBusy = this.#start(now);
    if (isBusy || this.#running.size > 0) {
      this.#idleSince = undefined;
      return false;
    }
    this.#idleSince ??= now;
    this.#at(this.#idleSince + LINGER);
    return now >= this.#idleSince + LINGER;
  }

  /** Sleeps until a client or a job's end wakes the runner, or the time has come. */
  async sleep(): Promise<void> {
    const seconds = Math.max(0.01, this.#next - Date.now() / 1000);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#poke = resolve;
      if (this.#poked) resolve();
      timer = setTimeout(resolve, seconds * 1000);
    });
    clearTimeout(timer);
    this.#poked = false;
    this.#poke = () => {};
  }

  #wake(): void {
    this.#poked = true;
    this.#poke();
  }

  #at(time: number): void {
    this.#next = Math.min(this.#next, time);
  }

  async #listen(): Promise<void> {
    if (this.#watcher === undefined) return;
    for await (const _ of this.#watcher) this.#wake();
  }

  /** Reads the jobs that clients have added or changed, and forgets those that they have ended. */
  #readChanges(): void {
    const path = `${this.store.wake}/changes`;
    const wakes = sizeOf(path) ?? 0;
    if (this.#watcher === undefined) this.#at(Date.now() / 1000 + 0.2);
    if (wakes === this.#seenWakes) return;
    this.#seenWakes = wakes;
    const live = liveIds(this.store);
    const known = new Set(live);
    // A job that was cancelled before it began must neither be started nor be waited for.
    for (const id of this.#jobs.keys()) if (!known.has(id)) this.#jobs.delete(id);
    for (const id of live) {
      const size = sizeOf(`${this.store.live}/${id}`) ?? 0;
      if (this.#jobs.get(id)?.size === size) continue;
      const job = readJob(this.store, id);
      if (job !== undefined) this.#jobs.set(id, { size, job });
    }
  }

  /** Takes on the parts that an earlier runner has started. */
  #adopt(now: number): void {
    if (this.#hasAdopted) return;
    this.#hasAdopted = true;
    for (const { job } of this.#jobs.values()) {
      for (const [key, part] of job.parts) {
        if (part.state !== "RUNNING" || this.#running.has(name(job, key))) continue;
        this.#running.set(name(job, key), {
          jobId: job.spec.jobId,
          key,
          base: baseOf(this.store, job, key),
          own: undefined,
          since: part.start ?? now,
          ended: false,
          warned: part.warnedAt !== undefined,
          ...(part.stoppedAt === undefined ? {} : { stoppedAt: part.stoppedAt }),
          ...(part.isLate === undefined ? {} : { isLate: part.isLate }),
          rssKib: 0,
        });
      }
    }
  }

  #attend(running: Running, now: number): void {
    const job = this.#jobs.get(running.jobId)?.job;
    const part = job?.parts.get(running.key);
    if (job === undefined || part === undefined) return;
    if (running.own === undefined) {
      running.ended = hasVanished(running, now);
      this.#at(now + ADOPTED_SECONDS);
    }
    if (running.ended) return this.#settle(running, job, part, now);
    const limit = job.spec.minutes === undefined
      ? undefined
      : running.since + job.spec.minutes * minuteSeconds();
    const { warning } = job.spec;
    if (limit !== undefined && warning !== undefined && !running.warned) {
      const warnAt = limit - warning.seconds / 60 * minuteSeconds();
      if (now >= warnAt) {
        running.warned = true;
        this.#change(job, running.key, { warnedAt: now });
        signalAll(targets(running, warning.batch ? "batch" : "others"), warning.signal);
      } else this.#at(warnAt);
    }
    if (running.stoppedAt === undefined) {
      const isLate = limit !== undefined && now >= limit;
      if (part.cancelAt !== undefined || isLate) this.#stop(running, job, now, isLate);
      else if (limit !== undefined) this.#at(limit);
    }
    if (running.stoppedAt !== undefined) {
      if (now >= running.stoppedAt + KILL_WAIT) signalAll(targets(running, "all"), "SIGKILL");
      this.#at(Math.max(now + 0.2, running.stoppedAt + KILL_WAIT));
    }
  }

  #stop(running: Running, job: Job, now: number, isLate: boolean): void {
    running.stoppedAt = now;
    running.isLate = isLate;
    // Noted first: should this process end just here, the next one knows why the part has ended.
    this.#change(job, running.key, { stoppedAt: now, isLate });
    const why = isLate ? "DUE TO TIME LIMIT" : undefined;
    const line = stopLine(rawId(job, running.key), job.spec.host, now, why);
    writeLog(filesOf(job, running.key).error, line);
    const pids = targets(running, "all");
    signalAll(pids, "SIGCONT");
    signalAll(pids, "SIGTERM");
  }

  /** Notes how a part has ended, and ends what it has left running. */
  #settle(running: Running, job: Job, part: Part, now: number): void {
    this.#running.delete(name(job, running.key));
    signalAll(leftRunning(running, rawId(job, running.key)), "SIGKILL");
    const end = scriptEnd(running.base);
    // What ended while no runner was there may have ended long ago, and before its cancellation.
    const endedAt = running.own === undefined ? end?.writtenAt ?? now : now;
    const isCancelled = part.cancelAt !== undefined && running.isLate !== true &&
      endedAt >= part.cancelAt;
    const state = isCancelled
      ? "CANCELLED"
      : running.isLate === true
      ? "TIMEOUT"
      : end === undefined
      ? running.own === undefined ? "NODE_FAIL" : "FAILED"
      : end.code === 0 && end.signal === 0
      ? "COMPLETED"
      : "FAILED";
    if (state === "NODE_FAIL") {
      const why = "DUE TO NODE FAILURE";
      writeLog(
        filesOf(job, running.key).error,
        stopLine(rawId(job, running.key), job.spec.host, now, why),
      );
    }
    const { writtenAt: _, ...exit } = end ?? {};
    this.#change(job, running.key, {
      state,
      end: Math.max(part.start ?? 0, Math.floor(Math.min(endedAt, now))),
      // A shell that was killed along with its script has written nothing.
      ...(end === undefined ? { code: 0, signal: state === "FAILED" ? 9 : 0 } : exit),
      ...(running.rssKib > 0 ? { rssKib: running.rssKib } : {}),
    });
  }

  /** Looks at the memory of what runs: every second at first, then every ten. */
  #sample(now: number): void {
    if (this.#running.size === 0) return;
    const youngest = Math.max(...[...this.#running.values()].map(({ since }) => since));
    const interval = now - youngest < 10 ? 1 : 10;
    if (now - this.#sampledAt >= interval) {
      this.#sampledAt = now;
      for (const running of this.#running.values()) {
        const rss = memoryOf(targets(running, "all"));
        running.rssKib = Math.max(running.rssKib, rss);
      }
    }
    this.#at(this.#sampledAt + interval);
  }

  /** Starts what may start; returns whether there is anything to wait for. */
  #start(now: number): boolean {
    const jobs = [...this.#jobs.values()].map(({ job }) => job);
    const lookup = lookupIn(jobs, (id) => readJob(this.store, id));
    const places = placesOf(this.store) - this.#running.size;
    const { start, cancel, lookAgain } = plan(jobs, lookup, now, places);
    for (const { job, key } of cancel) {
      const reason = "DependencyNeverSatisfied";
      this.#change(job, key, { state: "CANCELLED", split: true, reason, end: Math.floor(now) });
    }
    for (const { job, key } of start) this.#launch(job, key, now);
    if (lookAgain !== undefined) this.#at(lookAgain);
    return start.length > 0 || cancel.length > 0 || lookAgain !== undefined;
  }

  #launch(job: Job, key: number, now: number): void {
    const begun = { split: true, start: Math.floor(now) };
    // Noted first: should this process end just here, nothing is started twice.
    this.#change(job, key, { state: "RUNNING", ...begun });
    let own: Aside | undefined;
    try {
      own = launch(this.store, this.cluster, job, key);
    } catch {
      own = undefined;
    }
    if (own === undefined) {
      this.#change(job, key, { state: "FAILED", end: Math.floor(now), code: 0, signal: 53 });
      this.#wake();
      return;
    }
    const running: Running = {
      jobId: job.spec.jobId,
      key,
      base: baseOf(this.store, job, key),
      own,
      since: now,
      ended: false,
      warned: false,
      rssKib: 0,
    };
    this.#running.set(name(job, key), running);
    own.ended.then(() => {
      running.ended = true;
      this.#wake();
    });
  }

  #change(job: Job, key: number, change: Change): void {
    changeJob(this.store, job, [key === WHOLE ? change : { tasks: String(key), ...change }]);
    const { jobId } = job.spec;
    const size = sizeOf(`${this.store.live}/${jobId}`);
    if (size === undefined) this.#jobs.delete(jobId);
    else this.#jobs.set(jobId, { size, job });
  }
}

function name({ spec }: Job, key: number): string {
  return `${spec.jobId}/${key}`;
}

function watch(directory: string): Deno.FsWatcher | undefined {
  try {
    return Deno.watchFs(directory, { recursive: false });
  } catch {
    // No inotify here, or none left: the runner looks by itself.
    return undefined;
  }
}

function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch {
    return undefined;
  }
}

/** The shell of a part that was begun a moment ago may not have said yet who it is. */
const GRACE_SECONDS = 3;

function hasVanished({ base, since }: Running, now: number): boolean {
  const session = sessionOf(base);
  if (session === undefined) return now > since + GRACE_SECONDS;
  return !hasArgument(session, base);
}

/**
 * Returns what a part that is over has left running. After a restart of the machine the session's
 * number may be that of others; what a job leaves is told by its environment then.
 */
function leftRunning({ base, own }: Running, id: number): number[] {
  const session = sessionOf(base) ?? own?.pid;
  if (session === undefined) return [];
  const left = processesOf(session);
  return own === undefined ? left.filter((pid) => hasVariable(pid, `SLURM_JOB_ID=${id}`)) : left;
}

function targets(running: Running, which: Targets): number[] {
  const session = sessionOf(running.base) ?? running.own?.pid;
  return session === undefined ? [] : jobProcesses(session, which);
}

/** How many jobs run at a time: what `DATALAD_SLURM_LOCAL_JOBS` was last, or one for each CPU. */
function placesOf(store: LocalStore): number {
  const places = Number(readQuietly(`${store.directory}/max-jobs`));
  return Number.isInteger(places) && places > 0 ? places : navigator.hardwareConcurrency;
}

/** Tests need not wait for Slurm's smallest time limit. */
function minuteSeconds(): number {
  return Number(Deno.env.get("DATALAD_SLURM_LOCAL_MINUTE")) || 60;
}
