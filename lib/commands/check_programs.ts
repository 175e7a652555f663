import { ToolError } from "../errors.ts";
import { run, text } from "../process/run.ts";
import { parseVersion } from "../slurm/accounting.ts";
import { type Answer, ask } from "../slurm/ask.ts";
import { CONTROLLER_ARGV, parseController } from "../slurm/controller.ts";
import { CLOCK_SLACK } from "../slurm/report.ts";
import { sacctArgv } from "../slurm/sacct.ts";
import { type Check, isAtLeast, ok, problem, warning } from "./checks.ts";

/** The oldest versions that the tool works with. */
const LEAST_GIT = "2.30";
const LEAST_ANNEX = "8.20200226";
const LEAST_SLURM = "20.11";

/** A question of `doctor` need not wait as long as one that an answer depends on. */
const PATIENCE_MS = 10_000;

/** Looks at git. */
export async function checkGit(): Promise<Check> {
  const version = await versionOf(["git", "version"], /^git version (\S+)/m);
  if (version === undefined) {
    return problem("git", "git is not on PATH, or does not run", "Install git, or load its module");
  }
  return isAtLeast(version, LEAST_GIT) ? ok("git", `git ${version}`) : problem(
    "git",
    `git ${version} is too old`,
    `Install git ${LEAST_GIT} or newer, or load a module that has it`,
  );
}

/** Looks at git-annex, which only a dataset with an annex needs. */
export async function checkAnnex(isNeeded: boolean): Promise<Check> {
  const version = await versionOf(["git", "annex", "version", "--raw"], /^(\d\S*)/);
  if (version === undefined) {
    return isNeeded
      ? problem(
        "git-annex",
        "git-annex is not on PATH, or does not run, and the dataset has an annex",
        "Install git-annex, or load its module",
      )
      : ok("git-annex", "git-annex is not here, and only datasets with an annex need it");
  }
  return isAtLeast(version, LEAST_ANNEX) ? ok("git-annex", `git-annex ${version}`) : warning(
    "git-annex",
    `git-annex ${version} is older than what was tried`,
    `Install git-annex ${LEAST_ANNEX} or newer`,
  );
}

/** Looks at Slurm's programs, at slurmctld, at its accounting and its clock. */
export async function checkSlurm(): Promise<Check[]> {
  const answers = await Promise.all(CLIENTS.map((name) => ask([name, "--version"], PATIENCE_MS)));
  const name = "Slurm's programs";
  if (answers.some(({ outcome }) => outcome === "not-configured")) {
    // Whatever is asked now would say the same.
    return [
      problem(
        name,
        "They are installed, but find no configuration of Slurm (slurm.conf)",
        "On a machine of a cluster: ask your administrators, or set SLURM_CONF; without a cluster, " +
          "--slurm local runs jobs on this machine, to try things",
      ),
    ];
  }
  const [controller, sacct] = await Promise.all([
    ask(CONTROLLER_ARGV, PATIENCE_MS),
    ask(sacctArgv({ jobIds: ["1"], columns: ["JobID"] }), PATIENCE_MS),
  ]);
  // What is not installed has been told already.
  return [
    checkClients(name, answers),
    ...(controller.outcome === "missing" ? [] : checkController(controller)),
    ...(sacct.outcome === "missing" ? [] : [checkAccounting(sacct, controller)]),
  ];
}

const CLIENTS: readonly string[] = ["sbatch", "squeue", "sacct", "scontrol", "scancel"];

function checkClients(name: string, answers: readonly Answer[]): Check {
  const missing = answers.filter(({ outcome }) => outcome === "missing");
  if (missing.length > 0) {
    return problem(
      name,
      `Not on PATH: ${missing.map(({ program }) => program).join(", ")}`,
      "Load Slurm's module, or put its bin directory on PATH; without Slurm, --slurm local runs jobs " +
        "on this machine, to try things",
    );
  }
  const broken = answers.find(({ outcome }) => outcome !== "answered");
  if (broken !== undefined) {
    return problem(
      name,
      broken.said,
      broken.outcome === "timeout"
        ? `Try ${broken.program} --version; where it hangs, so may a file system that it is on`
        : "Ask your administrators: it cannot even tell its version",
    );
  }
  const versions = new Set(answers.map(({ stdout }) => parseVersion(stdout) ?? "unknown"));
  const shown = [...versions].join(", ");
  if (versions.size > 1) {
    return warning(
      name,
      `They are of different versions: ${shown}`,
      "See which come first on PATH: type -a sbatch sacct",
    );
  }
  return isAtLeast(shown, LEAST_SLURM) || shown === "unknown"
    ? ok(name, `Slurm ${shown}`)
    : warning(name, `Slurm ${shown} is older than what was tried`, `Slurm ${LEAST_SLURM} is fine`);
}

function checkController(answer: Answer): Check[] {
  const name = "slurmctld";
  if (answer.outcome !== "answered") {
    return [
      problem(
        name,
        answer.said,
        "Try scontrol ping; nothing can be submitted until it answers, and states stay unknown",
      ),
    ];
  }
  const { version, cluster, time } = parseController(answer.stdout);
  const answers = ok(name, `slurmctld ${version ?? ""} of cluster ${cluster ?? "?"} answers`);
  if (time === undefined) return [answers];
  const seconds = Math.round(Date.now() / 1000 - time);
  return [
    answers,
    Math.abs(seconds) < CLOCK_SLACK / 5
      ? ok("clock", "This machine's clock and slurmctld's agree")
      : problem(
        "clock",
        `This machine's clock is ${Math.abs(seconds)} s ${
          seconds > 0 ? "ahead of" : "behind"
        } slurmctld's`,
        "Have it set (NTP): a job is known by the time of its submission, as ids come again",
      ),
  ];
}

function checkAccounting(answer: Answer, controller: Answer): Check {
  const name = "accounting";
  if (answer.outcome === "answered") return ok(name, "sacct answers");
  if (answer.outcome === "accounting-disabled") {
    const { minJobAge } = parseController(controller.stdout);
    const kept = minJobAge === undefined ? "some minutes" : `${minJobAge} s (MinJobAge)`;
    return warning(
      name,
      "Accounting is disabled on this cluster: Slurm forgets a job soon after its end",
      `Run finish within ${kept} of a job's end, or its state stays unknown`,
    );
  }
  return problem(
    name,
    answer.said,
    "Try sacct; until it answers, the states of jobs that slurmctld has forgotten stay unknown",
  );
}

async function versionOf(
  argv: readonly string[],
  pattern: RegExp,
): Promise<string | undefined> {
  try {
    const result = await run(argv, { timeoutMs: PATIENCE_MS, env: { LC_ALL: "C.UTF-8" } });
    return result.code === 0 ? pattern.exec(text(result.stdout))?.[1] : undefined;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return undefined;
  }
}
