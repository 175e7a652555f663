import { endingOf, ownIdentity, type ProcessIdentity } from "../store/lock_identity.ts";
import { isJobOver } from "./locked.ts";

/**
 * Says whether the process that owns a journal entry has provably ended. Of a process on another
 * machine only Slurm can tell, where it was part of a job: no process of a job outlives it there.
 */
export async function hasEnded(owner: ProcessIdentity): Promise<boolean> {
  const own = ownIdentity();
  if (endingOf(owner, own) !== "unknown") return true;
  return owner.slurmJobId !== undefined && owner.slurmJobId !== own.slurmJobId &&
    owner.host !== own.host && await isJobOver(owner.slurmJobId) === true;
}
