import { isThere } from "../../files.ts";
import { absolutePath } from "../../paths.ts";
import { type Aside, startAside } from "../../process/aside.ts";
import { expandPattern } from "../patterns.ts";
import type { LocalStore } from "./store.ts";
import { readQuietly } from "./store.ts";
import { slurmVariables } from "./environment.ts";
import { type Job, rawId, type Spec, WHOLE } from "./job.ts";
import { formatTime } from "./times.ts";

/**
 * Runs a batch script with its files and writes down how it ended, also when nobody watches any
 * more: the shell that stays beside the script. Signals to the whole session pass it by. When a
 * signal has ended the script, bash says so. Names begin with dls_, so that no
 * variable which the job's environment exports is changed.
 */
const BESIDE = `
dls_base=$1 dls_script=$2 dls_in=$3 dls_out=$4 dls_err=$5
(set +o posix) 2>/dev/null && set +o posix
umask "$6"
shift 6
echo $$ >"$dls_base.pid"
trap : HUP INT QUIT TERM USR1 USR2 ALRM
exec 2>"$dls_base.said"
if [ "$dls_err" = "$dls_out" ]; then "$dls_script" "$@" <"$dls_in" >>"$dls_out" 2>&1
else "$dls_script" "$@" <"$dls_in" >>"$dls_out" 2>>"$dls_err"; fi
dls_code=$?
{ echo "$dls_code"; times; } >"$dls_base.exit"
`;

/** Other shells keep to themselves whether it was a signal (dash 0.5.12), but will do. */
function shellBeside(): string[] {
  const bash = ["/bin/bash", "/usr/bin/bash"].find((path) => isThere(path));
  // Without `--posix` it would begin with what BASH_ENV names; it is silent about signals with it.
  return bash === undefined ? ["/bin/sh", "-c"] : [bash, "--posix", "-c"];
}

/** The files of a part while it runs; `.pid`, `.said` and `.exit` are added to it. */
export function baseOf(store: LocalStore, { spec }: Job, key: number): string {
  return `${store.spool}/${spec.jobId}/${key === WHOLE ? "job" : `task-${key}`}`;
}

/** The log files of a part, as absolute paths. */
export interface LogFiles {
  readonly output: string;
  readonly error: string;
  readonly input: string;
}

/**
 * Returns the files of a part. With `key` undefined those of what is left of an array, with
 * `4294967294` for the index, as scontrol shows them (22.05).
 */
export function filesOf(job: Job, key: number | undefined): LogFiles {
  const { spec } = job;
  const fields = {
    jobId: String(key === undefined ? spec.jobId : rawId(job, key)),
    arrayJobId: String(spec.jobId),
    arrayTaskId: key === undefined || key === WHOLE ? null : key,
    jobName: spec.name,
    user: spec.user,
    node: spec.host,
    slurmVersion: "22.05",
  };
  const expand = (pattern: string) =>
    absolutePath(expandPattern(pattern, fields) ?? pattern, spec.workDir);
  const output = expand(
    spec.output ?? (spec.array === undefined ? "slurm-%j.out" : "slurm-%A_%a.out"),
  );
  return {
    output,
    error: spec.error === undefined ? output : expand(spec.error),
    input: spec.input === undefined ? "/dev/null" : expand(spec.input),
  };
}

/** Starts a part, or returns undefined when its files cannot be opened (Slurm's `0:53`). */
export function launch(
  store: LocalStore,
  cluster: string,
  job: Job,
  key: number,
): Aside | undefined {
  const { spec } = job;
  const files = filesOf(job, key);
  if (!openFiles(spec, files)) return undefined;
  const directory = usableDirectory(spec, files.error);
  const base = baseOf(store, job, key);
  const spool = `${store.spool}/${spec.jobId}`;
  const environment = {
    ...readEnvironment(`${spool}/environment`),
    ...slurmVariables(job, key, cluster, spec.dependency),
  };
  const umask = spec.umask.toString(8).padStart(4, "0");
  const { input, output, error } = files;
  return startAside(
    [
      ...shellBeside(),
      BESIDE,
      "slurm_job",
      base,
      `${spool}/slurm_script`,
      input,
      output,
      error,
      umask,
      ...spec.args,
    ],
    directory,
    { ...environment, PWD: directory },
  );
}

function openFiles(spec: Spec, { output, error, input }: LogFiles): boolean {
  const before = Deno.umask(spec.umask);
  try {
    for (const path of new Set([output, error])) {
      // A device or a pipe is not truncated, and to open a pipe would wait for its reader.
      if (isSpecial(path)) continue;
      Deno.openSync(path, {
        create: true,
        write: true,
        ...(spec.append ? { append: true } : { truncate: true }),
      }).close();
    }
    if (!isSpecial(input)) Deno.openSync(input).close();
    return true;
  } catch {
    return false;
  } finally {
    Deno.umask(before);
  }
}

function isSpecial(path: string): boolean {
  try {
    const { isFile, isDirectory } = Deno.statSync(path);
    return !isFile && !isDirectory;
  } catch {
    return false;
  }
}

/** Slurm runs a job in /tmp whose directory is gone, and says so in its log. */
function usableDirectory({ workDir }: Spec, log: string): string {
  try {
    if (Deno.statSync(workDir).isDirectory) return workDir;
  } catch {
    // Said below.
  }
  writeLog(
    log,
    `couldn't chdir to \`${workDir}': No such file or directory: going to /tmp instead`,
  );
  return "/tmp";
}

/** Writes what Slurm's own step daemon says into a job's log. */
export function writeLog(path: string, message: string): void {
  try {
    Deno.writeTextFileSync(path, `slurmstepd: error: ${message}\n`, { append: true });
  } catch {
    // There is no log to write to.
  }
}

/** Returns the line that tells in a log that a job is stopped, and why. */
export function stopLine(id: number, host: string, now: number, why: string | undefined): string {
  const because = why === undefined ? "" : ` ${why}`;
  return `*** JOB ${id} ON ${host} CANCELLED AT ${formatTime(now, undefined)}${because} ***`;
}

function readEnvironment(path: string): Record<string, string> {
  return Object.fromEntries(
    (readQuietly(path) ?? "").split("\0").flatMap((entry) => {
      const equals = entry.indexOf("=");
      return equals > 0 ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
    }),
  );
}

/** How a batch script has ended. */
export interface ScriptEnd {
  readonly code: number;
  readonly signal: number;
  readonly cpuSeconds?: number;
  /** When that was written down, in seconds since 1970. */
  readonly writtenAt: number;
}

/** Returns how the script of a part has ended, or undefined when nothing tells. */
export function scriptEnd(base: string): ScriptEnd | undefined {
  const [first = "", , children = ""] = (readQuietly(`${base}.exit`) ?? "").split("\n");
  if (!/^\d+$/.test(first)) return undefined;
  const code = Number(first);
  // After `exit 137` the shell says nothing.
  const bySignal = code > 128 && readQuietly(`${base}.said`) !== "";
  const cpuSeconds = [...children.matchAll(/(\d+)m([\d.,]+)s/g)]
    .reduce(
      (sum, [, minutes, seconds]) =>
        sum + Number(minutes) * 60 + Number(seconds?.replace(",", ".")),
      0,
    );
  return {
    code: bySignal ? 0 : code,
    signal: bySignal ? code - 128 : 0,
    cpuSeconds: Math.round(cpuSeconds * 1000) / 1000,
    writtenAt: (Deno.statSync(`${base}.exit`).mtime?.getTime() ?? Date.now()) / 1000,
  };
}

/** Returns the pid of the shell beside a part's script, which is its session too. */
export function sessionOf(base: string): number | undefined {
  const pid = Number(readQuietly(`${base}.pid`)?.trim());
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}
