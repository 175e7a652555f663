import { type Holder, readHolderInfo } from "./holder.ts";
import {
  heartbeatPath,
  list,
  listLock,
  parseEntry,
  queuePath,
  ticketToken,
} from "./lock_layout.ts";

/** Who holds the lock and who waits for it. */
export interface LockState {
  readonly holder: Holder | undefined;
  /**
   * Milliseconds since the holder's heart last beat, by the clocks of file server and this machine;
   * undefined in the first seconds. It is for people: no decision rests on it.
   */
  readonly heartbeatAgeMs: number | undefined;
  readonly queue: readonly Holder[];
}

/** Returns the state of the lock, for `datalad-slurm unlock`. */
export function inspectLock(directory: string): LockState {
  const [name] = listLock(directory) ?? [];
  const holder = name === undefined ? undefined : readHolder(directory, name);
  const tokens = (list(queuePath(directory)) ?? []).map(ticketToken);
  return {
    holder,
    heartbeatAgeMs: holder?.lastHeartbeat === undefined
      ? undefined
      : Date.now() - holder.lastHeartbeat.getTime(),
    queue: tokens.filter((token) => token !== undefined).map((token) => ({
      token,
      phase: "waiting",
      info: readHolderInfo(directory, token),
    })),
  };
}

/** Returns what is known of the holder with that entry in the lock. */
export function readHolder(directory: string, name: string): Holder {
  const { token, phase } = parseEntry(name) ?? { token: name, phase: "unknown" };
  return {
    token,
    phase,
    info: readHolderInfo(directory, token),
    lastHeartbeat: lastHeartbeat(directory, token),
  };
}

function lastHeartbeat(directory: string, token: string): Date | undefined {
  try {
    return Deno.statSync(heartbeatPath(directory, token)).mtime ?? undefined;
  } catch {
    return undefined;
  }
}
