import { ownUser } from "../slurm/local/machine.ts";
import { standInDirectory, standInWords } from "../slurm/local/place.ts";
import { liveIds, storeAt } from "../slurm/local/store.ts";
import { ask } from "../slurm/ask.ts";
import { errorCode } from "../store/lock_layout.ts";
import { type Check, ok, problem, warning } from "./checks.ts";

/** Longest wait for one of the stand-in's programs, in milliseconds. */
const PATIENCE_MS = 20_000;

/**
 * Looks at the stand-in for Slurm on this machine: its folder, its programs, and whether its jobs
 * outlive the session that they were submitted from. The folder is not made.
 */
export async function checkStandIn(): Promise<Check[]> {
  return [
    ok(
      "Slurm's programs",
      "Not looked at: jobs go to the local stand-in; --slurm cluster looks at them",
    ),
    checkFolder(standInDirectory()),
    await checkProgram(),
    checkLogout(readLogind(), isLingering()),
  ];
}

function checkFolder(folder: string): Check {
  const name = "stand-in";
  const shown = JSON.stringify(folder);
  try {
    const directory = Deno.makeTempDirSync({ dir: nearestAbove(folder), prefix: ".doctor-" });
    try {
      using lock = Deno.openSync(`${directory}/lock`, { create: true, write: true });
      lock.lockSync(true);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
    const live = liveIds(storeAt(folder)).length;
    return ok(name, `Its jobs are kept in ${shown}; ${live} of them pending or running`);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return problem(
      name,
      `Its jobs cannot be kept in ${shown}: ${code}`,
      "Name a directory that you may write to, on a file system that can lock files, by " +
        "DATALAD_SLURM_LOCAL_DIR",
    );
  }
}

/** Returns the directory itself, or the nearest one above it that is there. */
function nearestAbove(directory: string): string {
  for (let at = directory; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    try {
      Deno.statSync(at);
      return at;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return "/";
}

/** They are all made alike, so that one of them tells of all. */
async function checkProgram(): Promise<Check> {
  const name = "stand-in's programs";
  const { outcome, stdout, said } = await ask(
    [...standInWords("sbatch"), "--version"],
    PATIENCE_MS,
  );
  return outcome === "answered" ? ok(name, `sbatch answers: ${stdout.trim()}`) : problem(
    name,
    `The stand-in's sbatch does not run: ${said}`,
    "Make sure that programs may run from where datalad-slurm and the stand-in's folder are",
  );
}

/** Says whether systemd's logind ends a user's programs when the last session ends. */
export function checkLogout(configuration: readonly string[], isLingering: boolean): Check {
  const name = "logout";
  const setting = configuration.flatMap((text) => text.split("\n"))
    .findLast((line) => /^\s*KillUserProcesses\s*=/.test(line));
  const kills = /=\s*(?:yes|true|on|1)\s*$/i.test(setting ?? "");
  return kills && !isLingering
    ? warning(
      name,
      "This machine ends your programs, and so the stand-in's jobs, when you log out " +
        "(KillUserProcesses of systemd-logind)",
      "Stay logged in while jobs run, or have it let them go on with: loginctl enable-linger",
    )
    : ok(name, "The stand-in's jobs go on when you log out");
}

/** Returns what configures systemd-logind, the strongest last. */
function readLogind(): string[] {
  const texts: string[] = [];
  for (const base of ["/usr/lib/systemd", "/etc/systemd"]) {
    texts.push(...readAll([`${base}/logind.conf`]));
    const directory = `${base}/logind.conf.d`;
    try {
      const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
      texts.push(...readAll(names.map((name) => `${directory}/${name}`)));
    } catch {
      // There is none.
    }
  }
  return texts;
}

function readAll(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      return [Deno.readTextFileSync(path)];
    } catch {
      return [];
    }
  });
}

function isLingering(): boolean {
  try {
    Deno.statSync(`/var/lib/systemd/linger/${ownUser().user}`);
    return true;
  } catch {
    return false;
  }
}
