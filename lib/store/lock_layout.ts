/**
 * The names below `<git common directory>/datalad-slurm/lock`, and the few file system calls that
 * the repository lock is made of. Each name says whose it is:
 *
 * ```text
 * L/<token>~<phase>/     the lock: a directory that holds just its owner's entry
 * t.<token>/<entry>/     a candidate, prepared to be renamed to L
 * hb.<token>/<n>/        the heartbeat: the counter is the name; absent for the first seconds
 * info.<token>.json      who the owner is
 * q/<time>-<token>/      a ticket of one who waits
 * ```
 *
 * Only directories live inside `L`: a file that somebody has open becomes `.nfs…` when it is
 * removed on NFS, and would keep `L` from being removed.
 */

const TICKET = /^(\d{15})-(.+)$/;

export const LOCK_NAME = "L";
export const QUEUE_NAME = "q";

export function lockPath(directory: string): string {
  return `${directory}/${LOCK_NAME}`;
}

export function queuePath(directory: string): string {
  return `${directory}/${QUEUE_NAME}`;
}

export function candidatePath(directory: string, token: string): string {
  return `${directory}/t.${token}`;
}

export function heartbeatPath(directory: string, token: string): string {
  return `${directory}/hb.${token}`;
}

export function infoPath(directory: string, token: string): string {
  return `${directory}/info.${token}.json`;
}

/** Returns the token of an info file's name, or undefined for any other name. */
export function infoToken(name: string): string | undefined {
  return /^info\.(.+)\.json$/.exec(name)?.[1];
}

/** Returns the name of a ticket taken at a time in milliseconds since 1970. */
export function ticketName(time: number, token: string): string {
  return `${String(Math.floor(time)).padStart(15, "0")}-${token}`;
}

/** Returns the time in a ticket's name, or undefined for any other name. */
export function ticketTime(name: string): number | undefined {
  const time = TICKET.exec(name)?.[1];
  return time === undefined ? undefined : Number(time);
}

/** Returns the token of a ticket's name, or undefined for any other name. */
export function ticketToken(name: string): string | undefined {
  return TICKET.exec(name)?.[2];
}

/** What one entry of `L` says: whose it is, and what the owner is doing. */
export interface Entry {
  readonly token: string;
  readonly phase: string;
}

/**
 * Returns the entry's name. The phase is part of the name so that a change of phase is one rename,
 * which a breaker's rmdir of the old name either precedes or misses: there is no moment between.
 * Throws a TypeError when the phase has anything but lower-case letters, spaces and hyphens.
 */
export function entryName(entry: Entry): string {
  if (!/^[a-z][a-z -]*$/.test(entry.phase)) {
    throw new TypeError(`${JSON.stringify(entry.phase)} is no name of a phase`);
  }
  return `${entry.token}~${entry.phase.replaceAll(" ", "-")}`;
}

/** Returns what an entry's name says, or undefined for any other name. */
export function parseEntry(name: string): Entry | undefined {
  const match = /^(.+)~([a-z][a-z-]*)$/.exec(name);
  const [, token, phase] = match ?? [];
  return token === undefined || phase === undefined
    ? undefined
    : { token, phase: phase.replaceAll("-", " ") };
}

/** Returns the code of a file system error, such as `ENOTEMPTY`. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Returns the sorted names in a directory, or undefined when there is no such directory. */
export function list(path: string): string[] | undefined {
  try {
    return Array.from(Deno.readDirSync(path), (entry) => entry.name).sort();
  } catch (error) {
    if (isOneOf(error, ["ENOENT", "ESTALE"])) return undefined;
    throw error;
  }
}

/**
 * Returns the names inside `L`, or undefined when there is no `L`. The parent is listed first:
 * network file systems refresh what they know of a name when its directory is listed, while a
 * `stat` may answer from a cache up to 30 s old (Linux 6.1, NFSv3 and v4.2).
 */
export function listLock(directory: string): string[] | undefined {
  return list(directory)?.includes(LOCK_NAME) === true ? list(lockPath(directory)) : undefined;
}

/**
 * Makes a directory, with exactly the given mode when there is one. An existing one is fine: all
 * names carry a token, and a client that repeats a request whose answer was lost is told EEXIST.
 */
export function makeDirectory(path: string, mode: number | undefined): void {
  try {
    Deno.mkdirSync(path);
  } catch (error) {
    if (!isOneOf(error, ["EEXIST"])) throw error;
    return;
  }
  if (mode !== undefined) Deno.chmodSync(path, mode);
}

/**
 * Removes an empty directory or a file. Returns false when it is gone already, or is not empty or
 * in use; throws on any other trouble.
 */
export function removeEntry(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    if (isOneOf(error, ["ENOENT", "ESTALE", "ENOTEMPTY", "EEXIST", "EBUSY"])) return false;
    throw error;
  }
}

/** Removes a directory of empty directories, such as a candidate or a heartbeat. */
export function removeNest(path: string): void {
  for (const name of list(path) ?? []) removeEntry(`${path}/${name}`);
  removeEntry(path);
}

/** Says whether a file system error carries one of the codes. */
export function isOneOf(error: unknown, codes: readonly string[]): boolean {
  const code = errorCode(error);
  return code !== undefined && codes.includes(code);
}

/** Returns a new token: host and pid of its process, and 64 random bits. */
export function newToken({ host, pid }: { readonly host: string; readonly pid: number }): string {
  return `${hostPart(host)}-${pid}-${crypto.getRandomValues(new Uint8Array(8)).toHex()}`;
}

/** Returns the pid in a token of a host, or undefined for one of another host. */
export function tokenPid(token: string, host: string): number | undefined {
  const prefix = `${hostPart(host)}-`;
  if (!token.startsWith(prefix)) return undefined;
  const pid = /^(\d+)-[0-9a-f]{16}$/.exec(token.slice(prefix.length))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

function hostPart(host: string): string {
  return host.replaceAll(/[^A-Za-z0-9.-]/g, "_").slice(0, 64);
}
