/** A small second cluster beside the first, which its programs reach with `-M other`. */
import {
  canConnect,
  client,
  daemonRuns,
  exists,
  freePorts,
  hostSettings,
  killCluster,
  locked,
  memoryGroupPath,
  nodesAreUp,
  shortHash,
  startDaemon,
  stopDaemon,
  until,
  writeFiles,
} from "./cluster.ts";
import { text } from "../../lib/process/run.ts";
import {
  memoryCgroupConf,
  memoryLines,
  secondDir,
  secondName,
  secondNode,
  slurmConfPath,
} from "./config.ts";
import { memoryGroup, memoryGroupObstacle } from "./memory_group.ts";

/**
 * Starts the second cluster beside the one in `dir`, which is up; its first job has the id that is
 * asked for, or a higher one. A job gets no more memory than it asks for where the kernel has control
 * groups for that. Returns its directory. Removes what is left of an earlier one.
 */
export function startSecond(dir: string, firstJobId: number): Promise<string> {
  return locked(dir, async () => {
    await remove(dir);
    const own = secondDir(dir);
    const first = Deno.readTextFileSync(slurmConfPath(dir));
    const group = await memoryGroupObstacle() === undefined
      ? memoryGroup(`${own}/cgroup`, `datalad-slurm-${shortHash(own)}`)
      : undefined;
    const settings = {
      ...await hostSettings(dir),
      name: secondName,
      dir: own,
      servicesDir: dir,
      slurmdbdPort: Number(/^AccountingStoragePort=(\d+)$/m.exec(first)?.[1]),
      firstPort: freePorts(),
      nodes: [secondNode],
      memoryPerNode: 64_000,
      lines: [
        `FirstJobId=${Math.max(firstJobId, nextJobId(dir))}`,
        ...memoryLines(group !== undefined),
      ],
    };
    await writeFiles(settings);
    if (group !== undefined) {
      Deno.mkdirSync(`${group.mountPoint}/memory`, { recursive: true });
      Deno.writeTextFileSync(`${own}/cgroup.conf`, memoryCgroupConf(group.mountPoint));
      Deno.writeTextFileSync(memoryGroupPath(own), JSON.stringify(group));
    }
    // Accounting may know it from one that ended with jobs of which it has not seen the end.
    await client(dir, ["sacctmgr", "-i", "add", "cluster", secondName]);
    startDaemon(own, "slurmctld");
    startDaemon(own, secondNode);
    await until(own, "slurmctld answers", () => canConnect(settings.firstPort));
    await until(own, "its node is idle", () => nodesAreUp(own));
    await until(own, "the first cluster's programs reach it", async () => {
      return (await client(dir, ["squeue", `--clusters=${secondName}`])).code === 0;
    });
    return own;
  });
}

/** Accounting keeps the jobs of a cluster that it has removed: a next one goes on behind them. */
function nextJobIdPath(dir: string): string {
  return `${dir}/run/next-job-id-of-${secondName}`;
}

function nextJobId(dir: string): number {
  return exists(nextJobIdPath(dir)) ? Number(Deno.readTextFileSync(nextJobIdPath(dir))) : 1;
}

/** Stops the second cluster, jobs included, and removes all that is left of it. */
export function stopSecond(dir: string): Promise<void> {
  return locked(dir, () => remove(dir));
}

async function remove(dir: string): Promise<void> {
  const own = secondDir(dir);
  if (!exists(own)) return;
  if (daemonRuns(own, "slurmctld")) {
    // What it has told slurmdbd of no end of stands in the way of removing it there.
    await client(own, ["scancel", "--full", "--user=root"]);
    await until(own, "its jobs are over", async () => {
      return text((await client(own, ["squeue", "--noheader"])).stdout) === "";
    });
    const config = text((await client(own, ["scontrol", "show", "config"])).stdout);
    const next = /^NEXT_JOB_ID += (\d+)$/m.exec(config)?.[1];
    if (next !== undefined) Deno.writeTextFileSync(nextJobIdPath(dir), next);
    await stopDaemon(own, "slurmctld");
  }
  await killCluster(own);
  await client(dir, ["sacctmgr", "-i", "delete", "cluster", secondName]);
  await Deno.remove(own, { recursive: true });
}
