/**
 * Runs the tests and closes with the line `N passed, N failed`: `run_tests.ts [LAYER…]`, where a
 * layer is a directory or file below `test/`. Without a layer, formatting, lint and types are checked as
 * well, and each check that fails counts as one failure.
 */
import { ToolError } from "../../lib/errors.ts";
import { buildProgram } from "../../lib/executable/build.ts";
import { acquireCluster, type Cluster, clusterObstacle, HELD_CLUSTER } from "../cluster/cluster.ts";
import { type Counts, countTests, NONE } from "./junit.ts";
import { wantsLocal } from "./real_slurm.ts";
import { BUNDLED_PROGRAM } from "./tool.ts";

const root = new URL("../../", import.meta.url).pathname;
const chosen = Deno.args;

/** More are no quicker on a small machine; `DENO_JOBS` is for larger ones. */
const FILES_AT_ONCE = "2";

let running: Deno.ChildProcess | undefined;
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => {
    interrupted = true;
    try {
      running?.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
  });
}

/** Runs deno with our stdout and stderr, so that progress is seen, and returns its exit code. */
async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  // Not through `run`, which collects what a program says until it ends.
  running = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env,
    stdin: "null",
  }).spawn();
  return (await running.status).code;
}

/** Returns those of the checks that failed. */
async function check(): Promise<string[]> {
  const failed: string[] = [];
  for (const args of [["fmt", "--check"], ["lint"], ["check"]]) {
    if (!interrupted && await deno(args) !== 0) failed.push(`deno ${args.join(" ")}`);
  }
  return failed;
}

/** What every user meets first runs on the stand-in too, where there is a real Slurm for the rest. */
const ON_STAND_IN = ["schedule", "arrays"].map((name) => `test/command/${name}_test.ts`);

async function test(
  paths: readonly string[],
  cluster: Cluster | undefined,
  others: Record<string, string> = {},
): Promise<Counts> {
  const directory = await Deno.makeTempDir();
  // For tests that run as another user, too.
  await Deno.chmod(directory, 0o755);
  const report = `${directory}/report.xml`;
  try {
    const options = ["--parallel", "--permit-no-files", `--junit-path=${report}`];
    const env = {
      DENO_JOBS: Deno.env.get("DENO_JOBS") ?? FILES_AT_ONCE,
      [BUNDLED_PROGRAM]: await buildProgram(directory),
      ...(cluster === undefined ? {} : { ...cluster.env, [HELD_CLUSTER]: cluster.dir }),
      ...others,
    };
    const code = await deno(["test", "-A", ...options, ...paths], env);
    const counts = countTests(await Deno.readTextFile(report));
    // A file that cannot be loaded is no test case, but the exit code tells of it.
    return code !== 0 && counts.failed === 0
      ? { ...counts, failed: 1, failures: ["deno test: a file of tests, see above"] }
      : counts;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function main(): Promise<Counts> {
  const all = chosen.length === 0;
  const failedChecks = all ? await check() : [];
  const paths = all ? ["test/"] : chosen.map((layer) => `test/${layer}`);
  const obstacle = wantsLocal ? "DATALAD_SLURM_TEST says so" : clusterObstacle();
  if (obstacle !== undefined) {
    console.error(
      `What only a real Slurm does is skipped, the stand-in does the rest: ${obstacle}`,
    );
  }
  const layers = ["cluster", "command", "conformance", "stress"];
  const wantsCluster = all || chosen.some((path) => layers.includes(path.split("/", 1)[0] ?? ""));
  const cluster = wantsCluster && obstacle === undefined && !interrupted
    ? await acquireCluster()
    : undefined;
  try {
    if (interrupted) return { ...NONE, failed: 1 };
    const counts = await test(paths, cluster);
    const again = all && cluster !== undefined && !interrupted
      ? await test(ON_STAND_IN, undefined, { DATALAD_SLURM_TEST: "local" })
      : NONE;
    return {
      passed: counts.passed + again.passed,
      failed: counts.failed + again.failed + failedChecks.length,
      // What is skipped on the stand-in has run on the cluster.
      skipped: counts.skipped,
      failures: [...failedChecks, ...counts.failures, ...again.failures],
    };
  } finally {
    await cluster?.release();
  }
}

function describe({ passed, failed, skipped }: Counts): string {
  const line = `${passed} passed, ${failed} failed`;
  return skipped === 0 ? line : `${line}, ${skipped} skipped`;
}

let counts: Counts;
try {
  counts = await main();
} catch (error) {
  console.error(
    error instanceof ToolError ? [error.message, error.details, error.hint].join("\n") : error,
  );
  counts = { ...NONE, failed: 1 };
}
if (interrupted) console.error("The tests were interrupted");
if (counts.passed + counts.failed === 0) console.error("There are no tests");
// Once more where they are looked for: a log may be long, and may be cut.
if (counts.failures.length > 0) console.error(`Failed:\n${counts.failures.join("\n")}`);
console.log(describe(counts));
Deno.exit(counts.failed > 0 || counts.passed === 0 || interrupted ? 1 : 0);
