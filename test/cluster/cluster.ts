/**
 * A real Slurm cluster of four nodes on this machine, with accounting:
 * `cluster.ts up | down | status | env`.
 *
 * Each checkout has a cluster of its own below `CLUSTER_DIR` (by default a directory in the
 * temporary directory that is named after the checkout), with its own munged, MariaDB and ports.
 */
import { ToolError } from "../../lib/errors.ts";
import { externalError, run, text } from "../../lib/process/run.ts";
import {
  cgroupConf,
  clusterName,
  type ClusterSettings,
  createDatabaseArgv,
  mariadbdArgv,
  mariadbSocket,
  mungedArgv,
  nodeNames,
  portCount,
  preemptionLines,
  secondDir,
  slurmConf,
  slurmConfPath,
  slurmdbdConf,
} from "./config.ts";
import { inMemoryGroup, type MemoryGroup, removeMemoryGroup } from "./memory_group.ts";
import { clusterProcesses, identify, isRunning, killProcesses } from "./processes.ts";

/** A cluster that a test may use. */
export interface Cluster {
  readonly dir: string;
  /** What programs need in their environment to talk to this cluster. */
  readonly env: { readonly SLURM_CONF: string };
  /** Stops the cluster if it was started for this user of it, and leaves it up otherwise. */
  release(): Promise<void>;
}

/** Debian's name of the package that holds each program. */
const packages: Readonly<Record<string, string>> = {
  mariadbd: "mariadb-server",
  "mariadb-install-db": "mariadb-server",
  munge: "munge",
  munged: "munge",
  sacctmgr: "slurm-client",
  sbatch: "slurm-client",
  scancel: "slurm-client",
  sinfo: "slurm-client",
  slurmctld: "slurmctld",
  slurmd: "slurmd",
  slurmdbd: "slurmdbd",
};

/** Returns the directory of this checkout's cluster. */
export function clusterDir(): string {
  const chosen = Deno.env.get("CLUSTER_DIR");
  if (chosen !== undefined && chosen !== "") {
    // slurm.conf has no way to quote a space, and the path of a socket at most 107 bytes.
    if (/^\/[\w@+./-]{1,79}$/.test(chosen)) return chosen.replace(/\/+$/, "");
    throw new ToolError("usage", `CLUSTER_DIR "${chosen}" cannot hold a cluster`, {
      hint: "Use an absolute path of at most 80 letters, digits and @+._-/",
    });
  }
  // Not in the checkout: its path may be too long for a socket or closed to ordinary users.
  const temporary = (Deno.env.get("TMPDIR") || "/tmp").replace(/\/+$/, "");
  return `${temporary}/datalad-slurm-cluster-${shortHash(new URL("../..", import.meta.url).href)}`;
}

/** FNV-1a: enough to tell checkouts apart. */
export function shortHash(word: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(word)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}

/** Returns why no cluster can be started here, as one sentence, or undefined when one can. */
export function clusterObstacle(): string | undefined {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries(packages)) {
    if (!isOnPath(program)) missing.add(name);
  }
  const obstacles: string[] = [];
  if (missing.size > 0) obstacles.push(`these packages are missing: ${[...missing].join(" ")}`);
  if (Deno.uid() !== 0) obstacles.push("starting slurmd needs root");
  return obstacles.length === 0 ? undefined : obstacles.join("; ");
}

/** Debian's daemons are in /usr/sbin, which an ordinary user's PATH leaves out. */
function daemonPath(): string {
  return `${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
}

function isOnPath(program: string): boolean {
  return daemonPath().split(":").some((dir) => {
    try {
      return Deno.statSync(`${dir}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/**
 * Names the cluster that a run of the tests holds for its files. None of them may judge for itself
 * whether it is up, and start it anew: another one may just have taken a node down.
 */
export const HELD_CLUSTER = "DATALAD_SLURM_TEST_CLUSTER";

/**
 * Returns this checkout's cluster, which is started when it is not up and nobody holds it for us.
 * Throws a {@link ToolError} when it cannot be.
 */
export async function acquireCluster(): Promise<Cluster> {
  const dir = clusterDir();
  const started = Deno.env.get(HELD_CLUSTER) !== dir && await up(dir);
  return {
    dir,
    env: { SLURM_CONF: slurmConfPath(dir) },
    async release() {
      if (started) await down(dir);
    },
  };
}

/**
 * Starts the cluster in `dir` unless it is up, and returns whether it was started. When it returns,
 * every node is idle and the accounting answers. What is left of a broken cluster is removed.
 */
export function up(dir: string): Promise<boolean> {
  return locked(dir, async () => {
    if (await isUp(dir)) return false;
    const obstacle = clusterObstacle();
    if (obstacle !== undefined) {
      throw new ToolError("refused", `No Slurm cluster can be started here: ${obstacle}`, {
        hint: "As root on Debian, install what is missing with: apt-get install " +
          "--no-install-recommends slurm-wlm slurmctld slurmd slurmdbd slurm-client munge " +
          "mariadb-server",
      });
    }
    await remove(dir);
    try {
      await start(dir);
    } catch (error) {
      const logs = logTails(dir);
      await remove(dir);
      throw error instanceof ToolError
        ? new ToolError(error.kind, error.message, {
          details: [error.details, logs].filter(Boolean).join("\n"),
          cause: error,
        })
        : error;
    }
    return true;
  });
}

/** Stops everything that belongs to the cluster in `dir`, jobs included, and removes its files. */
export function down(dir: string): Promise<void> {
  return locked(dir, () => remove(dir));
}

/** Tells whether every daemon of the cluster in `dir` runs and answers. */
export async function isUp(dir: string): Promise<boolean> {
  // Asked first, because Slurm's clients wait 18 s and more for a controller that is not there.
  if (!daemonsRun(dir)) return false;
  return await nodesAreUp(dir) && await accountingAnswers(dir);
}

/** A daemon's pid and start time are kept here, so that a later process is not taken for it. */
function recordPath(dir: string, name: string): string {
  return `${dir}/run/${name}`;
}

const daemonNames: readonly DaemonName[] = [
  "munged",
  "mariadbd",
  "slurmdbd",
  "slurmctld",
  ...nodeNames,
];

function daemonsRun(dir: string): boolean {
  return daemonNames.every((name) => daemonRuns(dir, name));
}

/** Tells whether one daemon of the cluster in `dir` runs. */
export function daemonRuns(dir: string, name: DaemonName): boolean {
  try {
    const [pid, startTicks] = Deno.readTextFileSync(recordPath(dir, name)).split(" ");
    return startTicks !== undefined && isRunning({ pid: Number(pid), startTicks });
  } catch {
    return false;
  }
}

async function start(dir: string): Promise<void> {
  const firstPort = freePorts();
  const settings = {
    ...await hostSettings(dir),
    name: clusterName,
    dir,
    servicesDir: dir,
    slurmdbdPort: firstPort + 1,
    firstPort,
    nodes: nodeNames,
    lines: preemptionLines,
  };
  await writeFiles(settings);
  writeServiceFiles(settings);

  startDaemon(dir, "munged");
  await must(dir, ["mariadb-install-db", ...installOptions(dir)], "The database cannot be created");
  startDaemon(dir, "mariadbd");
  await until(dir, "munged answers", async () => {
    return (await client(dir, ["munge", "-n", "-S", `${dir}/munge/socket`])).code === 0;
  });
  // slurmdbd would create its database, but loses its connection's settings when it has to (24.11
  // with libmariadb 11.8: "Number of columns in result (=1) … (=0)").
  await until(dir, "mariadbd answers", async () => {
    return exists(mariadbSocket(dir)) && (await client(dir, createDatabaseArgv(dir))).code === 0;
  });

  startDaemon(dir, "slurmdbd");
  // slurmctld gives up at once when the accounting does not know its cluster (22.05).
  await until(dir, "slurmdbd answers", async () => {
    if (!await canConnect(settings.slurmdbdPort)) return false;
    return (await client(dir, ["sacctmgr", "-i", "add", "cluster", clusterName])).code === 0;
  });

  startDaemon(dir, "slurmctld");
  for (const node of nodeNames) startDaemon(dir, node);
  await until(dir, "slurmctld answers", () => canConnect(settings.firstPort));
  await until(dir, "all nodes are idle", () => nodesAreUp(dir));
  await until(dir, "sacct answers", () => accountingAnswers(dir));
}

/** One of the daemons of a cluster, by the name it has here; a node's is its slurmd. */
export type DaemonName = "munged" | "mariadbd" | "slurmdbd" | "slurmctld" | `${"n" | "m"}${number}`;

function daemonCommand(
  dir: string,
  name: DaemonName,
): { argv: readonly string[]; env?: Readonly<Record<string, string>> } {
  switch (name) {
    case "munged":
      return { argv: mungedArgv(dir) };
    case "mariadbd":
      return { argv: mariadbdArgv(dir) };
    case "slurmdbd":
      return { argv: ["slurmdbd", "-D"], env: { MYSQL_UNIX_PORT: mariadbSocket(dir) } };
    case "slurmctld":
      return { argv: ["slurmctld", "-D"] };
    default: {
      const argv = ["slurmd", "-D", "-N", name];
      const group = memoryGroupOf(dir);
      return { argv: group === undefined ? argv : inMemoryGroup(group, argv) };
    }
  }
}

/** Where the control group of the jobs of the cluster in `dir` is written down, if it has one. */
export function memoryGroupPath(dir: string): string {
  return `${dir}/cgroup.json`;
}

function memoryGroupOf(dir: string): MemoryGroup | undefined {
  if (!exists(memoryGroupPath(dir))) return undefined;
  return JSON.parse(Deno.readTextFileSync(memoryGroupPath(dir))) as MemoryGroup;
}

/** Kills everything that belongs to the cluster in `dir`, and removes its control group. */
export async function killCluster(dir: string): Promise<void> {
  await killProcesses(() => clusterProcesses(dir, slurmConfPath(dir)));
  const group = memoryGroupOf(dir);
  if (group !== undefined) await removeMemoryGroup(group);
}

/** Stops one daemon, which saves what it knows, and returns when it is gone. */
export async function stopDaemon(dir: string, name: DaemonName): Promise<void> {
  const [pid] = Deno.readTextFileSync(recordPath(dir, name)).split(" ");
  if (daemonRuns(dir, name)) Deno.kill(Number(pid), "SIGTERM");
  await until(dir, `${name} is gone`, () => Promise.resolve(!daemonRuns(dir, name)));
}

/** Starts one of Slurm's daemons again, unless it runs, and returns when it answers. */
export async function startAgain(dir: string, name: DaemonName): Promise<void> {
  if (daemonRuns(dir, name)) return;
  startDaemon(dir, name);
  await until(
    dir,
    `${name} answers`,
    () => name === "slurmdbd" ? accountingAnswers(dir) : nodesAreUp(dir),
  );
}

/** Changes lines of the cluster's `slurm.conf`, for the next start of its daemons. */
export function configure(dir: string, changes: Readonly<Record<string, string>>): void {
  const path = slurmConfPath(dir);
  let text = Deno.readTextFileSync(path);
  for (const [name, value] of Object.entries(changes)) {
    text = text.replace(new RegExp(`^${name}=.*\n`, "m"), "") + `${name}=${value}\n`;
  }
  Deno.writeTextFileSync(path, text);
}

function installOptions(dir: string): string[] {
  return [
    "--no-defaults",
    "--user=root",
    `--datadir=${dir}/mysql`,
    "--auth-root-authentication-method=socket",
    "--auth-root-socket-user=root",
    "--skip-test-db",
    "--innodb-log-file-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
  ];
}

/** Returns what clusters on this machine have in common. */
export async function hostSettings(
  dir: string,
): Promise<Pick<ClusterSettings, "host" | "loopbackHost">> {
  const host = Deno.hostname().split(".")[0] ?? "localhost";
  const addresses = text((await client(dir, ["getent", "ahosts", host])).stdout).trim();
  return {
    host,
    loopbackHost: addresses !== "" && addresses.split("\n").every((line) => /^127\./.test(line)),
  };
}

/** Returns the first of enough free ports in a row, below those the kernel gives to clients. */
export function freePorts(): number {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    if (Array.from({ length: portCount }, (_, index) => first + index).every(isFree)) return first;
  }
  throw new ToolError("refused", `No ${portCount} free TCP ports in a row could be found`);
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ port, hostname: "0.0.0.0" }).close();
    return true;
  } catch {
    return false;
  }
}

/** Tells whether something listens on a port of this machine. */
export async function canConnect(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ port, hostname: "127.0.0.1" })).close();
    return true;
  } catch {
    return false;
  }
}

/** Writes what a cluster has of its own; `cgroup.conf` as long as memory is not limited. */
export async function writeFiles(settings: ClusterSettings): Promise<void> {
  const { dir } = settings;
  Deno.mkdirSync(dir, { recursive: true });
  Deno.chmodSync(dir, 0o755);
  for (const name of ["log", "run", "spool", "state"]) makeDirectory(`${dir}/${name}`);
  for (const node of settings.nodes) Deno.mkdirSync(`${dir}/spool/${node}`);
  Deno.writeTextFileSync(slurmConfPath(dir), slurmConf(settings));
  Deno.chmodSync(slurmConfPath(dir), 0o644);
  const version = text((await client(dir, ["sinfo", "--version"])).stdout).trim().split(" ")[1];
  const cgroup = cgroupConf(version ?? "");
  if (cgroup !== undefined) Deno.writeTextFileSync(`${dir}/cgroup.conf`, cgroup, { mode: 0o644 });
}

function writeServiceFiles(settings: ClusterSettings): void {
  const { dir } = settings;
  for (const name of ["munge", "mysql"]) makeDirectory(`${dir}/${name}`);
  const key = crypto.getRandomValues(new Uint8Array(1024));
  Deno.writeFileSync(`${dir}/munge/key`, key, { mode: 0o400 });
  Deno.writeTextFileSync(`${dir}/slurmdbd.conf`, slurmdbdConf(settings), { mode: 0o600 });
}

function makeDirectory(path: string): void {
  Deno.mkdirSync(path);
  Deno.chmodSync(path, 0o755);
}

/**
 * Starts a daemon in a session of its own and records which process it is. Its stdin, stdout and
 * stderr are /dev/null: whoever waits for the end of an inherited pipe would wait for the daemon.
 */
export function startDaemon(dir: string, name: DaemonName): void {
  const { argv: [program = "", ...args], env } = daemonCommand(dir, name);
  // Not through `run`, which waits for a program and collects what it says.
  const child = new Deno.Command(program, {
    args,
    cwd: "/",
    clearEnv: true,
    env: { PATH: daemonPath(), LC_ALL: "C", SLURM_CONF: slurmConfPath(dir), ...env },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  child.unref();
  const identity = identify(child.pid);
  if (identity === undefined) {
    throw new ToolError("external", `Daemon "${name}" ended at once`);
  }
  Deno.writeTextFileSync(recordPath(dir, name), `${identity.pid} ${identity.startTicks}`);
}

/** Runs a program that talks to the cluster, free of the caller's own Slurm settings. */
export function client(dir: string, argv: readonly string[]) {
  const removed = Object.keys(Deno.env.toObject())
    .filter((name) => /^(?:SLURM|SBATCH|SACCT|SQUEUE|SINFO)_/.test(name))
    .map((name) => [name, undefined] as const);
  return run(argv, {
    cwd: "/",
    env: {
      ...Object.fromEntries(removed),
      PATH: daemonPath(),
      LC_ALL: "C",
      SLURM_CONF: slurmConfPath(dir),
    },
    timeoutMs: 60_000,
  });
}

async function must(dir: string, argv: readonly string[], message: string): Promise<void> {
  const result = await client(dir, argv);
  if (result.code !== 0) throw externalError(result, message);
}

/** Tells whether every node of the cluster in `dir` can take jobs. */
export async function nodesAreUp(dir: string): Promise<boolean> {
  const result = await client(dir, [
    "sinfo",
    "--noheader",
    "--partition=main",
    "--Node",
    "--format=%N %t",
  ]);
  if (result.code !== 0) return false;
  const states = text(result.stdout).trim().split("\n").map((line) => line.split(" ")[1] ?? "");
  const nodes = Deno.readTextFileSync(slurmConfPath(dir)).match(/^NodeName=/gm) ?? [];
  return states.length === nodes.length &&
    states.every((state) => /^(?:idle|mix|alloc|comp|resv)$/.test(state));
}

async function accountingAnswers(dir: string): Promise<boolean> {
  const result = await client(dir, ["sacctmgr", "-n", "-P", "show", "cluster", "format=cluster"]);
  return result.code === 0 && text(result.stdout).split("\n").includes(clusterName) &&
    (await client(dir, ["sacct", "-n", "-X", "-j", "1"])).code === 0;
}

/** Waits until something is so; throws a {@link ToolError} when it takes too long. */
export async function until(
  dir: string,
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + 90_000;
  while (!await condition()) {
    if (performance.now() > deadline) {
      throw new ToolError("external", `Waited 90 s in vain until ${what}`, {
        hint: `The logs are in "${dir}/log"`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Tells whether there is something at a path. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function logTails(dir: string): string {
  try {
    return [...Deno.readDirSync(`${dir}/log`)].map(({ name }) => {
      const lines = Deno.readTextFileSync(`${dir}/log/${name}`).trimEnd().split("\n");
      return [`--- ${name}`, ...lines.slice(-8)].join("\n");
    }).join("\n");
  } catch {
    return "";
  }
}

async function remove(dir: string): Promise<void> {
  if (!exists(dir)) return;
  if (!exists(slurmConfPath(dir)) && [...Deno.readDirSync(dir)].length > 0) {
    throw new ToolError("refused", `Directory "${dir}" is not a test cluster's`, {
      hint: "Set CLUSTER_DIR to a directory that is empty or not there yet",
    });
  }
  await killCluster(secondDir(dir));
  await killCluster(dir);
  await Deno.remove(dir, { recursive: true });
}

/**
 * Does `work` while no other process starts or stops the cluster in `dir`. The kernel gives the
 * lock back when its holder dies.
 */
export async function locked<Result>(dir: string, work: () => Promise<Result>): Promise<Result> {
  const path = `${dir}.lock`;
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true });
  for (;;) {
    using file = await Deno.open(path, { create: true, write: true });
    await file.lock(true);
    // The previous holder has removed the file: the lock of a removed file protects nothing.
    if (!isSameFile(file, path)) continue;
    try {
      return await work();
    } finally {
      await Deno.remove(path);
    }
  }
}

function isSameFile(file: Deno.FsFile, path: string): boolean {
  try {
    return file.statSync().ino === Deno.statSync(path).ino;
  } catch {
    return false;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const dir = clusterDir();
  switch (args.join(" ")) {
    case "up": {
      const started = performance.now();
      const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
      console.log(
        await up(dir) ? `Slurm cluster is up after ${seconds()} s` : "Slurm cluster is up already",
      );
      console.log(`export SLURM_CONF='${slurmConfPath(dir)}'`);
      return 0;
    }
    case "down":
      await down(dir);
      console.log("Slurm cluster is down");
      return 0;
    case "status": {
      const running = await isUp(dir);
      console.log(`Slurm cluster in "${dir}" is ${running ? "up" : "down"}`);
      return running ? 0 : 1;
    }
    case "env":
      console.log(`export SLURM_CONF='${slurmConfPath(dir)}'`);
      return 0;
    default:
      console.error("Usage: cluster.ts up | down | status | env");
      return 2;
  }
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(`Error: ${error.message}`);
    if (error.details) console.error(error.details);
    if (error.hint !== undefined) console.error(`Hint: ${error.hint}`);
    Deno.exitCode = 1;
  }
}
