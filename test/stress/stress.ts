/**
 * The long form of the stress and fault suite: `stress.ts [PART…]`, where a part is `crashes`,
 * `crowd` or `kills`; all of them without one. With `DATALAD_SLURM_EXECUTABLE` the crowds are of
 * the executable; crashes at steps are of the program as it stands here. Ends with exit code 1 and
 * the seam that gave way when something was lost, doubled, mixed up or left.
 */
import { noSlurm, startCluster, stopCluster } from "../support/real_slurm.ts";
import { crashEverywhere, type CrashOptions, noCrashes } from "./crashes.ts";
import { crowd, type CrowdCounts } from "./crowd.ts";

const PROCESSES = 64;
const ROUNDS = 10;
const KILLS = 300;

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  crashes: async () => {
    const sum = noCrashes();
    const datasets: readonly CrashOptions[] = [
      { kind: "git" },
      { kind: "annex" },
      { kind: "git", nested: true },
    ];
    for (const options of datasets) {
      const counts = await crashEverywhere({ ...options, say });
      for (const command of ["schedule", "finish", "reschedule"] as const) {
        sum[command] += counts[command];
      }
    }
    say(`Crashes survived: ${JSON.stringify(sum)}`);
  },
  crowd: async () => {
    const sizes = { processes: PROCESSES, say };
    report(await crowd({ ...sizes, kind: "git", rounds: ROUNDS }));
    report(await crowd({ ...sizes, kind: "git", rounds: 2, user: true }));
    report(await crowd({ ...sizes, kind: "annex", rounds: 2, user: true }));
  },
  kills: async () => {
    let kills = 0;
    for (const kind of ["git", "annex"] as const) {
      for (const start = kills; kills - start < KILLS / 2;) {
        const counts = await crowd({ kind, processes: 24, rounds: 4, killed: 0.6, user: true });
        kills += counts.kills;
        report(counts);
      }
    }
    say(`Kills survived: ${kills}`);
  },
};

function say(line: string): void {
  console.log(line);
}

function report({ jobs, kills, ofUser }: CrowdCounts): void {
  say(`${jobs} jobs, ${kills} kills, ${ofUser} commands of the user: nothing lost`);
}

if (noSlurm) {
  console.error("No Slurm cluster can be started here");
  Deno.exit(1);
}
await startCluster();
try {
  const wanted = Deno.args.length === 0 ? Object.keys(PARTS) : Deno.args;
  for (const part of wanted) {
    const work = PARTS[part];
    if (work === undefined) throw new Error(`There is no part ${JSON.stringify(part)}`);
    await work();
  }
} finally {
  await stopCluster();
}
