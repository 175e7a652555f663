/**
 * A control group below our own for the memory of a node's jobs (cgroup v1). It is seen through
 * mounts of its own, in namespaces that end with their processes, so that nothing else is touched.
 */
import { run } from "../../lib/process/run.ts";

/** Where a node's jobs have their memory counted and limited. */
export interface MemoryGroup {
  /** An empty directory of the cluster's, on which the group is mounted. */
  readonly mountPoint: string;
  /** The group's path in the memory hierarchy. */
  readonly path: string;
}

/** Returns the group of that name below the group that we are in; undefined without cgroup v1. */
export function memoryGroup(mountPoint: string, name: string): MemoryGroup | undefined {
  const own = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(\/.*)$/m.exec(
    Deno.readTextFileSync("/proc/self/cgroup"),
  )?.[1];
  return own === undefined ? undefined : { mountPoint, path: `${own.replace(/\/$/, "")}/${name}` };
}

const MOUNT = 'mount -t cgroup -o memory none "$mount/memory"';

/** Returns the argv that runs a program in the group, which is the root of all groups to it. */
export function inMemoryGroup(
  { mountPoint, path }: MemoryGroup,
  argv: readonly string[],
): string[] {
  const enter = `${MOUNT} && mkdir -p "$mount/memory$group" && ` +
    'echo $$ >"$mount/memory$group/cgroup.procs" && umount "$mount/memory" && ' +
    `exec unshare --cgroup sh -c '${MOUNT} && exec "$@"' sh "$@"`;
  const variables = [`mount=${mountPoint}`, `group=${path}`];
  return ["env", ...variables, "unshare", "--mount", "sh", "-c", enter, "sh", ...argv];
}

/** Returns why no group can be made here, as one sentence, or undefined when one can. */
export async function memoryGroupObstacle(): Promise<string | undefined> {
  const directory = await Deno.makeTempDir();
  try {
    const group = memoryGroup(directory, directory.replace(/.*\//, "datalad-slurm-trial-"));
    if (group === undefined) return "the kernel has no memory controller of cgroup v1";
    await Deno.mkdir(`${directory}/memory`);
    const { code, stderr } = await run(
      inMemoryGroup(group, ["test", "-w", `${directory}/memory/memory.limit_in_bytes`]),
      { cwd: "/" },
    );
    await removeMemoryGroup(group);
    return code === 0 ? undefined : `no control group can be made: ${stderr.trim() || code}`;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Removes a group and all groups below it, with the processes that are left there. */
export async function removeMemoryGroup({ mountPoint, path }: MemoryGroup): Promise<void> {
  // Those of other namespaces have the process id 0.
  const remove = `${MOUNT} || exit 0; [ -e "$mount/memory$group" ] || exit 0; ` +
    'find "$mount/memory$group" -name cgroup.procs -exec cat {} + | grep -vx 0 | ' +
    "xargs -r kill -KILL 2>/dev/null; " +
    'find "$mount/memory$group" -depth -type d -exec rmdir {} +';
  const variables = { mount: mountPoint, group: path };
  const argv = ["unshare", "--mount", "sh", "-c", remove];
  // The kernel takes a moment to let go of what has just been killed.
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await run(argv, { cwd: "/", env: variables })).code === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Control group "${path}" could not be removed`);
}
