import { readQuietly } from "./store.ts";

/** Returns the short name of this machine. */
export function hostName(): string {
  const name = readQuietly("/proc/sys/kernel/hostname")?.trim() || "localhost";
  return name.split(".", 1)[0] ?? name;
}

/** Returns the user's name and group, by the system's own files. */
export function ownUser(): { user: string; uid: number; group: string; gid: number } {
  const uid = Deno.uid() ?? 0;
  const gid = Deno.gid() ?? 0;
  const user = nameOf("/etc/passwd", uid) ?? Deno.env.get("USER") ?? String(uid);
  return { user, uid, group: nameOf("/etc/group", gid) ?? String(gid), gid };
}

function nameOf(file: string, id: number): string | undefined {
  let text: string | undefined;
  try {
    text = readQuietly(file);
  } catch {
    // Not ours to read.
  }
  return text?.split("\n").map((line) => line.split(":"))
    .find((fields) => fields[2] === String(id))?.[0];
}

/** Returns the session (setsid) of this process. */
export function ownSession(): number {
  return Number(statOf("self")?.[3] ?? 0);
}

/** Returns the fields of a process's `/proc/PID/stat` from the state (field 3) on. */
function statOf(pid: number | "self"): string[] | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** Returns the processes of a session that are still at work. */
export function processesOf(session: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat?.[3] === String(session) && stat[0] !== "Z") found.push(Number(name));
  }
  return found;
}

/** Which processes of a job are meant: all, that of the batch script alone, or all but that. */
export type Targets = "all" | "batch" | "others";

/** Returns processes of a job's session, without the shell that stays beside the script. */
export function jobProcesses(session: number, which: Targets): number[] {
  const all = processesOf(session).filter((pid) => pid !== session);
  if (which === "all") return all;
  const script = all.filter((pid) => statOf(pid)?.[1] === String(session));
  return which === "batch" ? script : all.filter((pid) => !script.includes(pid));
}

/** Returns the largest amount of memory that processes held, in KiB, as far as they still run. */
export function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/status`);
      return sum + Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {
      return sum;
    }
  }, 0);
}

/** Whether a process is there and has a word among its arguments. */
export function hasArgument(pid: number, word: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").includes(word);
  } catch {
    return false;
  }
}

/** Whether a process was started with a variable, as `NAME=value`, in its environment. */
export function hasVariable(pid: number, variable: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(variable);
  } catch {
    return false;
  }
}

/** Sends a signal to processes; those that have ended meanwhile are passed over. */
export function signalAll(pids: readonly number[], signal: string): void {
  for (const pid of pids) {
    try {
      Deno.kill(pid, signal as Deno.Signal);
    } catch {
      // It has ended already.
    }
  }
}
