import { statOf } from "../process/stat.ts";

/** What tells one process from all others, on all machines and after reboots. */
export interface ProcessIdentity {
  readonly host: string;
  /** The kernel's random id of this boot; empty when unknown, and then nothing is proven by it. */
  readonly bootId: string;
  /** The pid and time namespaces that `pid` and `startTime` belong to; empty when unknown. */
  readonly namespaces: string;
  readonly pid: number;
  /** Clock ticks from boot to the start of the process, as `/proc/<pid>/stat` has it. */
  readonly startTime: string;
  readonly uid: number;
  readonly user: string;
  readonly slurmJobId?: string | undefined;
  /** The cluster of that job. */
  readonly slurmCluster?: string | undefined;
}

/** The name of the environment variable by which a holder's children carry its token. */
export const LOCK_TOKEN_VARIABLE = "DATALAD_SLURM_LOCK_TOKEN";

/** The inode number that Linux gives to the pid namespace of the machine itself. */
const MACHINE_PID_NAMESPACE = "pid:[4026531836]";

let own: ProcessIdentity | undefined;

/** Returns the identity of this process; what `/proc` does not tell is empty. */
export function ownIdentity(): ProcessIdentity {
  own ??= readOwnIdentity();
  return own;
}

function readOwnIdentity(): ProcessIdentity {
  const stat = statOf("self");
  const uid = Deno.uid() ?? -1;
  // `unshare --pid` without a /proc of its own: pids of /proc are not those that kill(2) takes.
  const procIsOurs = stat?.pid === Deno.pid;
  return {
    host: read("/proc/sys/kernel/hostname").trim(),
    bootId: read("/proc/sys/kernel/random/boot_id").trim(),
    namespaces: procIsOurs ? `${namespace("pid")} ${namespace("time")}`.trim() : "",
    pid: Deno.pid,
    startTime: stat?.startTime ?? "",
    uid,
    user: Deno.env.get("USER") ?? Deno.env.get("LOGNAME") ?? `uid ${uid}`,
    slurmJobId: Deno.env.get("SLURM_JOB_ID"),
    slurmCluster: Deno.env.get("SLURM_CLUSTER_NAME"),
  };
}

/** What is known of the end of a process. */
export type Ending =
  /** It is proven that it has ended. */
  | "gone"
  /** A machine of that name has been started again; two machines may bear one name, though. */
  | "rebooted"
  | "unknown";

/** Returns what the observer can prove about the end of another process. */
export function endingOf(process: ProcessIdentity, observer: ProcessIdentity): Ending {
  if (process.host !== observer.host || process.bootId === "" || observer.bootId === "") {
    return "unknown";
  }
  if (process.bootId !== observer.bootId) {
    return isMachine(process) && isMachine(observer) ? "rebooted" : "unknown";
  }
  return sharesPids(process, observer) && isGone(process) ? "gone" : "unknown";
}

/** Says whether pids and session ids mean the same to both: same boot, same namespaces. */
export function sharesPids(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return one.host === other.host && one.bootId !== "" && one.bootId === other.bootId &&
    one.namespaces !== "" && one.namespaces === other.namespaces;
}

/** Says whether two identities are of one process; what is not known is no hindrance. */
export function isSameProcess(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return one.host === other.host && one.bootId === other.bootId && one.pid === other.pid &&
    one.namespaces === other.namespaces && one.startTime === other.startTime;
}

/** Says whether it is proven that a process is at work, on this very machine. */
export function isAliveHere(process: ProcessIdentity): boolean {
  return process.startTime !== "" && sharesPids(process, ownIdentity()) && !isGone(process);
}

/**
 * Says whether the process with that pid and start time is gone. `kill -0` is asked first: unlike
 * `/proc`, which may be mounted with `hidepid`, it knows the processes of other users.
 */
function isGone(process: ProcessIdentity): boolean {
  if (process.startTime === "") return false;
  if (isPidGone(process.pid)) return true;
  const stat = statOf(process.pid);
  if (stat === undefined) return false;
  if (stat.startTime !== process.startTime) return true;
  // A killed process that its parent has not waited for; other threads of it may still be at work.
  return stat.state === "Z" && threads(process.pid) === 1;
}

/** Says whether no process has that pid, in our own namespace. */
export function isPidGone(pid: number): boolean {
  try {
    Deno.kill(pid, 0 as unknown as Deno.Signal);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/**
 * Says whether a child of the process may still be at work: one that carries the token, or one
 * whose environment may not be read and that is the same user's and not older than the process.
 */
export function mayHaveChildren(process: ProcessIdentity, token: string): boolean {
  const mark = `${LOCK_TOKEN_VARIABLE}=${token}`;
  // With hidepid=2 others' processes are not even listed, not so much as the first one.
  if (process.uid !== Deno.uid() && !isListed(1)) return true;
  for (const { name } of Deno.readDirSync("/proc")) {
    // Neither this process nor the first one of the machine is anybody's orphan.
    if (!/^\d+$/.test(name) || [1, Deno.pid].includes(Number(name))) continue;
    try {
      const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
      if (environment.split("\0").includes(mark)) return true;
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied && couldBeChild(name, process)) return true;
    }
  }
  return false;
}

function isListed(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

function couldBeChild(pid: string, parent: ProcessIdentity): boolean {
  try {
    if (Deno.statSync(`/proc/${pid}`).uid !== parent.uid) return false;
  } catch {
    return false;
  }
  const stat = statOf(Number(pid));
  return stat === undefined || Number(stat.startTime) >= Number(parent.startTime);
}

function isMachine(process: ProcessIdentity): boolean {
  return process.namespaces.startsWith(MACHINE_PID_NAMESPACE) && process.host !== "localhost";
}

function threads(pid: number): number | undefined {
  try {
    return Array.from(Deno.readDirSync(`/proc/${pid}/task`)).length;
  } catch {
    return undefined;
  }
}

function namespace(kind: "pid" | "time"): string {
  try {
    return Deno.readLinkSync(`/proc/self/ns/${kind}`);
  } catch {
    return "";
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
