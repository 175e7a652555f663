/** A process, told apart from a later one with the same id by when it started. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of `/proc/PID/stat`. */
  readonly startTicks: string;
}

/** Returns the identity of a running process, or undefined when there is none with that id. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const [state, startTicks] = [fields?.[0], fields?.[19]];
  if (startTicks === undefined || state === "Z") return undefined;
  return { pid, startTicks };
}

/** Returns the fields of `/proc/PID/stat` from the third, the state, on. */
function statFields(pid: number): string[] | undefined {
  const stat = readOrUndefined(`/proc/${pid}/stat`);
  // The command's name is in parentheses and may hold spaces and parentheses itself.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Tells whether this very process still runs. */
export function isRunning({ pid, startTicks }: ProcessIdentity): boolean {
  return identify(pid)?.startTicks === startTicks;
}

/**
 * Returns every process that belongs to the cluster in `dir`: daemons that keep a file below it
 * open, processes of jobs that were submitted with its `slurm.conf`, and what these have started.
 * Needs root to see those of other users. Pid files are not asked: a process may die before it has
 * written one.
 */
export function clusterProcesses(dir: string, slurmConf: string): ProcessIdentity[] {
  const roots: number[] = [];
  const children = new Map<number, number[]>();
  for (const entry of Deno.readDirSync("/proc")) {
    const pid = Number(entry.name);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)?.[1] ?? 0);
    children.set(parent, [...children.get(parent) ?? [], pid]);
    if (isDaemon(pid, dir) || isJob(pid, slurmConf)) roots.push(pid);
  }
  const pids = new Set(roots);
  // A set that grows while it is walked is walked to its new end.
  for (const pid of pids) children.get(pid)?.forEach((child) => pids.add(child));
  pids.delete(Deno.pid);
  return [...pids].flatMap((pid) => identify(pid) ?? []);
}

const daemonPrograms = /\/(?:mariadbd|mysqld|munged|slurmctld|slurmdbd|slurmd|slurmstepd)[^/]*$/;

function isDaemon(pid: number, dir: string): boolean {
  return daemonPrograms.test(linkTarget(`/proc/${pid}/exe`)) && holdsFileBelow(pid, dir);
}

function holdsFileBelow(pid: number, dir: string): boolean {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (linkTarget(`/proc/${pid}/fd/${name}`).startsWith(`${dir}/`)) return true;
    }
  } catch {
    // It ended while it was looked at.
  }
  return false;
}

function isJob(pid: number, slurmConf: string): boolean {
  const variables = readOrUndefined(`/proc/${pid}/environ`)?.split("\0") ?? [];
  return variables.includes(`SLURM_CONF=${slurmConf}`) &&
    variables.some((variable) => variable.startsWith("SLURM_JOB_ID="));
}

function linkTarget(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Kills all that `find` returns until it returns nothing. There is nothing to ask first for: what
 * the daemons would save is removed anyway. A step daemon that is only just being started is found
 * by a later look.
 */
export async function killProcesses(find: () => readonly ProcessIdentity[]): Promise<void> {
  for (let left = find(); left.length > 0; left = find()) {
    for (const identity of left) {
      if (!isRunning(identity)) continue;
      try {
        Deno.kill(identity.pid, "SIGKILL");
      } catch {
        // It ended by itself in the meantime.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
