/**
 * The long form of the stress and fault suite: `stress.ts [PART…]`, all parts without one. With
 * `DATALAD_SLURM_EXECUTABLE` the crowds are of the executable; what is struck at steps is the program
 * as it stands here. Ends with exit code 1 and the seam that gave way when something was lost,
 * doubled, mixed up or left.
 */
import { noRealSlurm, startCluster, stopCluster } from "../support/real_slurm.ts";
import {
  crashEverywhere,
  type CrashOptions,
  NO_CHANGE,
  noCrashes,
  type StruckCommand,
} from "./crashes.ts";
import { finishByJobs } from "./finishing_jobs.ts";
import { stopEverywhere } from "./stops.ts";
import { crowd, type CrowdCounts } from "./crowd.ts";

const PROCESSES = 64;
const ROUNDS = 10;
const KILLS = 300;
const FINISHING_JOBS = 1_000;

/** Strikes at each step in datasets of several kinds. */
async function strike(datasets: readonly CrashOptions[]): Promise<void> {
  const sum = noCrashes();
  for (const options of datasets) {
    const counts = await crashEverywhere({ ...options, say });
    for (const command of Object.keys(sum) as StruckCommand[]) sum[command] += counts[command];
  }
  say(`Survived: ${JSON.stringify(sum)}`);
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  "crashes": () => strike([{ kind: "git" }]),
  "crashes-annex": () => strike([{ kind: "annex" }]),
  "crashes-nested": () => strike([{ kind: "git", nested: true }]),
  "crashes-alt-dir": () => strike([{ kind: "git", altDir: true }]),
  "crashes-layouts": () =>
    strike([
      { kind: "git", layout: "--branches", commands: ["finish"] },
      { kind: "git", layout: "--octopus", commands: ["finish"] },
    ]),
  "crashes-recover": () => strike([{ kind: "git", commands: ["recover"] }]),
  "failures": () =>
    strike([
      { kind: "git", blow: "fail" },
      { kind: "git", blow: "full" },
      { kind: "annex", blow: "full", commands: ["finish"] },
    ]),
  "stops": async () => {
    for (const command of ["schedule", "finish"] as const) {
      await stopEverywhere({ command, leaveOut: NO_CHANGE, say });
    }
  },
  "lock": async () => {
    const args = [
      "test",
      "-A",
      "test/adapter/lock_stress_test.ts",
      "test/adapter/lock_model_test.ts",
    ];
    const env = { DATALAD_SLURM_STRESS: "10" };
    const cwd = new URL("../../", import.meta.url).pathname;
    const { success } = await new Deno.Command(Deno.execPath(), { args, env, cwd }).spawn().status;
    if (!success) throw new Error("The lock gave way");
  },
  "crowd": async () => report(await crowd({ ...SIZES, kind: "git", rounds: ROUNDS })),
  "crowd-user": async () => report(await crowd({ ...SIZES, kind: "git", rounds: 2, user: true })),
  "crowd-annex": async () =>
    report(await crowd({ ...SIZES, kind: "annex", rounds: 2, user: true })),
  "finishing-jobs": async () => {
    await finishByJobs("git", FINISHING_JOBS, say);
    await finishByJobs("annex", PROCESSES, say);
  },
  "kills": async () => {
    let kills = 0;
    for (const kind of ["git", "annex"] as const) {
      for (const start = kills; kills - start < KILLS / 2;) {
        const counts = await crowd({
          kind,
          processes: 24,
          rounds: 4,
          killed: 0.6,
          user: true,
          say,
        });
        kills += counts.kills;
        report(counts);
      }
    }
    say(`Kills survived: ${kills}`);
  },
};

const SIZES = { processes: PROCESSES, say };

function say(line: string): void {
  console.log(line);
}

function report({ jobs, kills, ofUser }: CrowdCounts): void {
  say(`${jobs} jobs, ${kills} kills, ${ofUser} commands of the user: nothing lost`);
}

if (noRealSlurm) {
  console.error("No Slurm cluster can be started here");
  Deno.exit(1);
}
await startCluster();
try {
  const wanted = Deno.args.length === 0 ? Object.keys(PARTS) : Deno.args;
  for (const part of wanted) {
    const work = PARTS[part];
    if (work === undefined) {
      throw new Error(`There is no part ${JSON.stringify(part)}; there are: ${Object.keys(PARTS)}`);
    }
    say(`--- ${part}`);
    const started = performance.now();
    await work();
    say(`--- ${part}: ${Math.round((performance.now() - started) / 1000)} s`);
  }
} finally {
  await stopCluster();
}
