/**
 * Says whether any process of a session (setsid) is still at work: its leader may have ended before
 * what it started. Zombies are not at work; a container may keep them for ever.
 */
export function isSessionAlive(session: number): boolean {
  try {
    for (const { name } of Deno.readDirSync("/proc")) {
      if (/^\d+$/.test(name) && isInSession(name, session)) return true;
    }
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

function isInSession(pid: string, session: number): boolean {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return false;
  }
  const [state, , , sid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return sid === String(session) && state !== "Z" && state !== "X";
}
