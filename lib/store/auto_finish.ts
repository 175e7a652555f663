/**
 * What is kept of the jobs that finish other ones (`schedule --auto-finish`): a directory for each
 * open job, named by its token. It goes when the job is finished.
 */
export interface AutoFinishFiles {
  readonly directory: string;
  /** What sbatch printed when the finishing job was submitted; it outlives us. */
  readonly stdout: string;
  readonly stderr: string;
  /** What the finishing job prints. */
  readonly log: string;
}

/** Returns where the files of a job's finishing job are, below the store's base. */
export function autoFinishFiles(base: string, token: string): AutoFinishFiles {
  const directory = `${base}/auto-finish/${token}`;
  return {
    directory,
    stdout: `${directory}/stdout`,
    stderr: `${directory}/stderr`,
    log: `${directory}/log`,
  };
}

/** Removes what is kept of a job's finishing job, as far as that lets go of it. */
export function removeAutoFinish(base: string, token: string): void {
  try {
    Deno.removeSync(autoFinishFiles(base, token).directory, { recursive: true });
  } catch {
    // There is nothing, or the finishing job's log is open on a network file system.
  }
}
