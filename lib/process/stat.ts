/** What `/proc/<pid>/stat` tells of one process. */
export interface ProcessStat {
  readonly pid: number;
  /** One letter; a process in state `Z` or `X` has ended. */
  readonly state: string;
  /** The session (setsid) it belongs to, which bears the pid of its first process. */
  readonly session: number;
  /** Clock ticks from boot to its start. */
  readonly startTime: string;
}

/** Returns what Linux tells of a process, or undefined where there is none or it is hidden. */
export function statOf(pid: number | "self"): ProcessStat | undefined {
  try {
    return parseStat(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return undefined;
  }
}

/**
 * Returns the fields 1, 3, 6 and 22 of a line such as `13519 (git (x)) R 13515 13519 13410 … 139413 …`
 * (proc(5)), or undefined for anything else. The name in parentheses may hold any character.
 */
export function parseStat(line: string): ProcessStat | undefined {
  const end = line.lastIndexOf(")");
  const pid = /^(\d+) \(/.exec(line)?.[1];
  const fields = line.slice(end + 2).split(" ");
  const [state, , , session] = fields;
  const startTime = fields[19];
  if (pid === undefined || end < 0 || state === undefined || startTime === undefined) {
    return undefined;
  }
  return { pid: Number(pid), state, session: Number(session), startTime };
}
