import { parseTime } from "./fields.ts";

/** What slurmctld says of itself. */
export interface Controller {
  readonly version: string | undefined;
  readonly cluster: string | undefined;
  /** Such as `accounting_storage/slurmdbd`; `accounting_storage/none` or `(null)` without it. */
  readonly accounting: string | undefined;
  /** How long it remembers a job that is over, in seconds. */
  readonly minJobAge: number | undefined;
  /** Its clock, in seconds since 1970. */
  readonly time: number | undefined;
}

/** Asks slurmctld for its configuration. */
export const CONTROLLER_ARGV: readonly string[] = ["scontrol", "show", "config"];

/**
 * Returns what `scontrol show config` says: `Configuration data as of 1795359739` (with
 * SLURM_TIME_FORMAT=%s, the time at which slurmctld answered), then lines such as
 * `SLURM_VERSION           = 22.05.8` and `MinJobAge               = 300 sec`.
 */
export function parseController(stdout: string): Controller {
  const value = (name: string) =>
    new RegExp(`^${name} +=[ \\t]*(.*?)\\s*$`, "m").exec(stdout)?.[1] || undefined;
  const minJobAge = /^(\d+) sec/.exec(value("MinJobAge") ?? "")?.[1];
  return {
    version: value("SLURM_VERSION"),
    cluster: value("ClusterName"),
    accounting: value("AccountingStorageType"),
    minJobAge: minJobAge === undefined ? undefined : Number(minJobAge),
    time: parseTime(/^Configuration data as of (\S+)/m.exec(stdout)?.[1]),
  };
}
