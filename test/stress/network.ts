/**
 * The lock and the commands between two nodes on a network file system, where
 * `test/support/network_files.sh` has set it up: every second process is at the other node, with a
 * mount of its own. Ends with exit code 1 when something was lost, doubled, mixed up or left.
 */
import { noRealSlurm, startCluster, stopCluster } from "../support/real_slurm.ts";
import { crowd, type CrowdOptions } from "./crowd.ts";

/** Has what is started from now on be at the other node every second time. */
function useOtherNode(variable: "OTHER_NODE" | "OTHER_MOUNT"): void {
  const words = Deno.env.get(variable);
  if (words === undefined) throw new Error("This is started by: make test-network");
  Deno.env.set("DATALAD_SLURM_OTHER_NODE", words);
}

async function lock(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "-A", "test/adapter/lock_stress_test.ts"],
    cwd: new URL("../../", import.meta.url).pathname,
  }).spawn().status;
  if (!success) throw new Error("The lock gave way");
}

async function crowds(all: readonly Omit<CrowdOptions, "say">[]): Promise<void> {
  for (const options of all) {
    const say = (line: string) => console.log(line);
    const { jobs, kills, ofUser } = await crowd({ ...options, say });
    say(`${jobs} jobs, ${kills} kills, ${ofUser} commands of the user: nothing lost`);
  }
}

// A process that is dead, or stopped, is seen to be so in the process ids of its own node alone.
useOtherNode("OTHER_MOUNT");
await lock();
if (noRealSlurm) {
  console.error("No Slurm cluster can be started here");
  Deno.exit(1);
}
await startCluster();
try {
  await crowds([{ kind: "git", processes: 12, rounds: 2, killed: 0.5, user: true }]);
  useOtherNode("OTHER_NODE");
  await crowds([
    { kind: "git", processes: 24, rounds: 2, user: true },
    { kind: "annex", processes: 12, rounds: 2, user: true },
  ]);
} finally {
  await stopCluster();
}
