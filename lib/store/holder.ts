import * as z from "zod/mini";
import { identityShape } from "./identity_shape.ts";
import { infoPath } from "./lock_layout.ts";
import type { ProcessIdentity } from "./lock_identity.ts";

const HolderInfoSchema = z.object({
  version: z.literal(1),
  ...identityShape(),
  command: z.string(),
  since: z.string(),
});

/** What a process that wants or holds the lock says of itself, in `info.<token>.json`. */
export type HolderInfo = z.infer<typeof HolderInfoSchema>;

/** One that holds the lock, or waits for it. */
export interface Holder {
  readonly token: string;
  /** What the holder is doing; `waiting` for one that does not hold the lock. */
  readonly phase: string;
  /** Undefined when the info file is missing, incomplete, or of another version. */
  readonly info: HolderInfo | undefined;
  /** When the holder's heart last beat, by the file server's clock; undefined when unknown. */
  readonly lastHeartbeat?: Date | undefined;
}

/** Writes the info file of a token; throws what the file system throws. */
export function writeHolderInfo(
  directory: string,
  token: string,
  identity: ProcessIdentity,
  command: string,
  directoryMode: number | undefined,
): void {
  const info: HolderInfo = {
    version: 1,
    ...identity,
    command,
    since: new Date().toISOString(),
  };
  const path = infoPath(directory, token);
  Deno.writeTextFileSync(path, `${JSON.stringify(info)}\n`);
  if (directoryMode !== undefined) Deno.chmodSync(path, directoryMode & 0o666);
}

/** Returns what the info file of a token says, or undefined when it cannot be read. */
export function readHolderInfo(directory: string, token: string): HolderInfo | undefined {
  let content: unknown;
  try {
    content = JSON.parse(Deno.readTextFileSync(infoPath(directory, token)));
  } catch {
    return undefined;
  }
  const parsed = HolderInfoSchema.safeParse(content);
  return parsed.success ? parsed.data : undefined;
}

/**
 * Returns one line for people, such as
 * `alice@node12 (job 4711, pid 123), "datalad-slurm finish" (annex) since 2026-05-01 10:00:00 UTC`.
 */
export function describeHolder(holder: Holder): string {
  const { info } = holder;
  if (info === undefined) return `an unknown process (${holder.token})`;
  const job = info.slurmJobId === undefined ? "" : `job ${info.slurmJobId}, `;
  const heartbeat = holder.lastHeartbeat === undefined
    ? ""
    : `, last heartbeat ${showTime(holder.lastHeartbeat.toISOString())}`;
  return `${info.user}@${info.host} (${job}pid ${info.pid}), ${JSON.stringify(info.command)} ` +
    `(${holder.phase}) since ${showTime(info.since)}${heartbeat}`;
}

function showTime(iso: string): string {
  return `${iso.slice(0, 19).replace("T", " ")} UTC`;
}
