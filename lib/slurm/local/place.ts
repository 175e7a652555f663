import { absolutePath } from "../../paths.ts";
import { ownProgram } from "../../process/own_program.ts";
import { quoteWord } from "../../record/command.ts";
import { clusterOption } from "../clusters.ts";
import { isStandIn, standInCluster } from "../stand_in.ts";
import { hostName } from "./machine.ts";
import { type LocalStore, makeStore, readQuietly, storeAt, writeWhole } from "./store.ts";

/** The names of Slurm's programs that the stand-in answers to. */
export const PROGRAMS: readonly string[] = ["sbatch", "squeue", "sacct", "scontrol", "scancel"];

/** The first word by which the executable is told to be one of them, or the runner. */
export const AS_STAND_IN = "--stand-in=";

/**
 * Returns the stand-in's folder: what `DATALAD_SLURM_LOCAL_DIR` names, or that of this machine in
 * the user's state directory. A home may be shared by several machines, their processes are not.
 */
export function standInDirectory(): string {
  const named = Deno.env.get("DATALAD_SLURM_LOCAL_DIR");
  return named ? absolutePath(named, Deno.cwd()) : `${baseDirectory()}/${hostName()}`;
}

function baseDirectory(): string {
  const state = Deno.env.get("XDG_STATE_HOME");
  const base = state?.startsWith("/") === true
    ? state
    : `${Deno.env.get("HOME") || `/tmp/datalad-slurm-${Deno.uid()}`}/.local/state`;
  return `${base}/datalad-slurm/local`;
}

/** Whether a folder is another machine's, whose processes cannot be seen from here. */
export function isElsewhere(directory: string): boolean {
  const at = directory.lastIndexOf("/");
  return directory.slice(0, at) === baseDirectory() && directory.slice(at + 1) !== hostName();
}

/** Returns the cluster name of a folder, which it keeps when the machine is given another name. */
export function clusterOf(store: LocalStore): string {
  const kept = readQuietly(`${store.directory}/cluster`)?.trim();
  return isStandIn(kept) && kept !== undefined ? kept : standInCluster(hostName());
}

/** Returns the cluster name of this machine's stand-in, whether it was ever used or not. */
export function ownStandIn(): string {
  return clusterOf(storeAt(standInDirectory()));
}

/** Makes the stand-in of this machine ready and returns its cluster name. */
export function useStandIn(): string {
  const store = storeAt(standInDirectory());
  makeStore(store);
  const cluster = clusterOf(store);
  const kept = `${store.directory}/cluster`;
  if (readQuietly(kept) === undefined) writeWhole(kept, `${cluster}\n`);
  return cluster;
}

/**
 * Returns a PATH on which the stand-in of a cluster answers. That of another machine answers from
 * its folder, where a shared home has it.
 */
export function pathOfStandIn(cluster: string): string {
  const here = storeAt(standInDirectory());
  const store = storeOf(cluster);
  try {
    makePrograms(store);
  } catch (error) {
    // Nothing of it is here, or it is not ours to write to: then what is there has to do.
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
    if (!(error instanceof Deno.errors.PermissionDenied)) return pathWith(here);
  }
  return pathWith(store);
}

function storeOf(cluster: string): LocalStore {
  const here = storeAt(standInDirectory());
  const host = cluster.slice(cluster.indexOf("@") + 1);
  return clusterOf(here) === cluster || !/^[\w-]+$/.test(host)
    ? here
    : storeAt(`${baseDirectory()}/${host}`);
}

/**
 * Returns how people call one of Slurm's programs for a job of a cluster: `scancel -M other`, or the
 * path of the stand-in's, which is not on their PATH, where another of that name may be.
 */
export function programFor(cluster: string | undefined, program: string): string {
  return cluster === undefined || !isStandIn(cluster)
    ? `${program} ${clusterOption(cluster)}`.trimEnd()
    : quoteWord(`${storeOf(cluster).bin}/${program}`);
}

function pathWith({ bin }: LocalStore): string {
  const path = (Deno.env.get("PATH") ?? "/usr/bin:/bin").split(":").filter((one) => one !== bin);
  return [bin, ...path].join(":");
}

/** Returns the path of one of the stand-in's programs here; undefined where it was never used. */
export function standInProgram(program: string): string | undefined {
  const path = `${storeAt(standInDirectory()).bin}/${program}`;
  return readQuietly(path) === undefined ? undefined : path;
}

/** Returns the words that start one of the stand-in's programs, whether it was ever used or not. */
export function standInWords(program: string): string[] {
  const path = standInProgram(program);
  if (path !== undefined) return [path];
  return [...ownProgram()?.argv ?? [], `${AS_STAND_IN}${program}`, program, standInDirectory()];
}

/** The second line of a program of the stand-in. */
const MARK = "# datalad-slurm: the local stand-in for Slurm";

/** Writes the programs, which call this executable, where they are not as they should be. */
function makePrograms({ bin, directory }: LocalStore): void {
  const own = ownProgram();
  if (own === undefined) return;
  const environment = Object.entries(own.environment)
    .map(([name, value]) => `${name}=${quoteWord(value)} `).join("");
  for (const program of PROGRAMS) {
    const words = [...own.argv, `${AS_STAND_IN}${program}`].map(quoteWord).join(" ");
    // By the name that it was called by a submission is found again.
    const text = `#!/bin/sh\n${MARK}\n${environment}exec ${words} "$0" ${
      quoteWord(directory)
    } "$@"\n`;
    const path = `${bin}/${program}`;
    if (readQuietly(path) !== text) writeWhole(path, text, 0o755);
  }
}
