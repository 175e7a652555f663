import { ToolError } from "../../lib/errors.ts";
import { run, text } from "../../lib/process/run.ts";
import { start } from "./measure.ts";

/** Longest wait for the jobs to end, in milliseconds. */
const PATIENCE = 180_000;

/** Jobs of one bench, known by their name. */
export class BenchJobs {
  readonly #name = `datalad-slurm-bench-${Deno.pid}`;

  /** Returns the command that submits a job which waits for ever and so costs the machine nothing. */
  held(): string[] {
    return ["sbatch", "--hold", ...this.#options(), "--wrap=true"];
  }

  /** Submits so many jobs that wait for ever and returns their ids. */
  async submitHeld(count: number): Promise<string[]> {
    return await submitMany(count, [...this.held(), "--parsable"]);
  }

  /** Submits so many jobs that do nothing, waits until accounting knows their end, returns ids. */
  async submitAndWait(count: number): Promise<string[]> {
    const ids = await submitMany(count, [
      "sbatch",
      "--parsable",
      ...this.#options(),
      "--wrap=true",
    ]);
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const { stdout } = await start(["sacct", "-X", "-n", "-P", "-o", "State", `-j${ids}`]);
      const states = text(stdout).split("\n").filter((state) => state !== "");
      if (states.filter((state) => state === "COMPLETED").length === count) return ids;
      if (performance.now() > deadline) {
        throw new ToolError("external", `${count} jobs have not completed within 180 s`, {
          details: [...new Set(states)].join("\n"),
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  /** Cancels whatever of the jobs has not ended, as far as Slurm answers. */
  async cancel(): Promise<void> {
    await run(["scancel", `--name=${this.#name}`], { timeoutMs: 60_000 });
  }

  #options(): string[] {
    return [`--job-name=${this.#name}`, "--output=/dev/null"];
  }
}

async function submitMany(count: number, argv: readonly string[]): Promise<string[]> {
  const loop = 'i=$1; shift; while [ "$i" -gt 0 ]; do "$@" || exit; i=$((i - 1)); done';
  const { stdout } = await start(["sh", "-c", loop, "sh", `${count}`, ...argv], { cwd: "/" });
  const ids = text(stdout).split("\n").filter((line) => line !== "")
    .map((line) => line.replace(/;.*/, ""));
  if (ids.length !== count || !ids.every((id) => /^\d+$/.test(id))) {
    throw new ToolError("external", `${count} submissions gave ${ids.length} job ids`);
  }
  return ids;
}
