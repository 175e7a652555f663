import { type ProcessStat, statOf } from "./stat.ts";

/**
 * Says whether any process of a session (setsid) is still at work, or the one that was about to lead it
 * when its number was written down: the leader may have ended before what it started. Zombies are not
 * at work; a container may keep them for ever.
 */
export function isSessionAlive(session: number, writtenDown: Date): boolean {
  try {
    for (const { name } of Deno.readDirSync("/proc")) {
      if (/^\d+$/.test(name) && isInSession(Number(name), session)) return true;
    }
    if (startOf(session) <= writtenDown.getTime()) return true;
  } catch {
    // Without /proc the leader's process group has to do.
  }
  try {
    Deno.kill(-session, 0 as unknown as Deno.Signal);
  } catch (error) {
    // Another user's, which `/proc` may hide (hidepid).
    return error instanceof Deno.errors.PermissionDenied;
  }
  return false;
}

function isInSession(pid: number, session: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.session === session && isAtWork(stat);
}

function isAtWork({ state }: ProcessStat): boolean {
  return state !== "Z" && state !== "X";
}

/** Linux counts the time of processes in hundredths of a second, whatever its clock does. */
const TICK_MS = 10;

/** Returns when a process was started, in milliseconds since 1970; infinity where it is not at work. */
function startOf(pid: number): number {
  const stat = statOf(pid);
  const boot = /^btime (\d+)$/m.exec(Deno.readTextFileSync("/proc/stat"))?.[1];
  if (stat === undefined || boot === undefined || !isAtWork(stat)) return Infinity;
  return Number(boot) * 1000 + Number(stat.startTime) * TICK_MS;
}
