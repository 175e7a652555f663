/** How this process was called. */
export interface Invocation {
  /** The last part of the path it was called by, such as `datalad-slurm` or a link's `sbatch`. */
  readonly name: string;
  /** The absolute path it was called by, links not resolved; undefined when run from source. */
  readonly executable: string | undefined;
}

const prefix = "DATALAD_SLURM_LAUNCHER_";

/**
 * Removes from the environment what the launcher of the self-extracting executable has put there,
 * restores the user's own values, and returns how the executable was called. To be called once and
 * first: programs that are started, and jobs through sbatch, inherit the environment.
 */
export function cleanEnvironment(): Invocation {
  const path = Deno.env.get(`${prefix}PATH`);
  if (path === undefined) return invocationWithoutLauncher();
  const own = ["DENO_DIR", "DENO_LOG", "DENO_NO_UPDATE_CHECK", `${prefix}PATH`];
  for (const name of own) Deno.env.delete(name);
  const saved = `${prefix}SAVED_`;
  for (const [name, value] of Object.entries(Deno.env.toObject())) {
    if (!name.startsWith(saved)) continue;
    Deno.env.delete(name);
    Deno.env.set(name.slice(saved.length), value);
  }
  return { name: lastPart(path), executable: path };
}

/** A compiled executable (Deno 2.9) does not learn the name of the link it was called by. */
function invocationWithoutLauncher(): Invocation {
  const runtime = Deno.execPath();
  if (/^deno(?:$|[-.])/.test(lastPart(runtime))) {
    return { name: "datalad-slurm", executable: undefined };
  }
  return { name: lastPart(runtime), executable: runtime };
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
