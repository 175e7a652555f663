import { acquireCluster } from "../cluster/cluster.ts";
import { startLocalSlurm } from "../support/local_slurm.ts";
import {
  makeScratch,
  type Ran,
  removeScratch,
  runProgram,
  type Scratch,
} from "../support/scratch.ts";

/** The two that must behave alike. */
export type Side = "Slurm" | "stand-in";

/** What was started for the tests of a side. */
interface Started {
  readonly env: Readonly<Record<string, string>>;
  release(): Promise<void>;
}

const started = new Map<Side, Started>();

/** Starts a side, or finds the cluster that is up. */
export async function startSide(side: Side): Promise<void> {
  started.set(side, side === "Slurm" ? await acquireCluster() : await startStandIn());
}

/** A stand-in for which a minute, the smallest time limit, is a few seconds. */
async function startStandIn(): Promise<Started> {
  const standIn = await startLocalSlurm();
  return { ...standIn, env: { ...standIn.env, DATALAD_SLURM_LOCAL_MINUTE: String(MINUTE) } };
}

/** Seconds of such a minute: jobs have done by then what they must have done before its end. */
const MINUTE = 8;

/** Stops a side, if it was started for us. */
export async function stopSide(side: Side): Promise<void> {
  await started.get(side)?.release();
}

/** A directory for one behaviour, from which jobs are submitted and asked about. */
export class Bench implements AsyncDisposable {
  readonly #ids: string[] = [];

  private constructor(
    readonly side: Side,
    private readonly scratch: Scratch,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async make(side: Side): Promise<Bench> {
    const scratch = await makeScratch();
    // Jobs of the cluster run as the same user, on nodes with the same files.
    const env = { ...scratch.env, ...started.get(side)?.env };
    await Deno.mkdir(`${scratch.directory}/work`);
    return new Bench(side, scratch, env);
  }

  private get user(): string {
    return Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"))
      .find(([, , uid]) => uid === String(Deno.uid()))?.[0] ?? "";
  }

  get directory(): string {
    return `${this.scratch.directory}/work`;
  }

  /** Writes a batch script. */
  async script(name: string, ...lines: string[]): Promise<void> {
    await this.write(name, ["#!/bin/bash", ...lines, ""].join("\n"));
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.directory}/${name}`, text);
  }

  /** Returns a file's text, or undefined when it is not there. */
  async read(name: string): Promise<string | undefined> {
    try {
      return await Deno.readTextFile(`${this.directory}/${name}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Returns the names of the files that jobs have made, with ids as {@link plain} has them. */
  files(...written: string[]): string[] {
    return [...Deno.readDirSync(this.directory)].map(({ name }) => name)
      .filter((name) => !written.includes(name)).map((name) => this.plain(name)).sort();
  }

  /** Runs a program in the directory. */
  async run(
    argv: readonly string[],
    options: { env?: Record<string, string>; stdin?: string } = {},
  ): Promise<Ran> {
    const { env, ...rest } = options;
    return await inTurn(() =>
      runProgram(argv, { cwd: this.directory, env: { ...this.env, ...env }, ...rest })
    );
  }

  /** Runs a program, and returns what it said with everything left out that is chance. */
  async say(
    argv: readonly string[],
    options: { env?: Record<string, string>; stdin?: string } = {},
  ): Promise<string[]> {
    const { code, stdout, stderr } = await this.run(argv, options);
    const lines = (text: string, mark: string) =>
      text.split("\n").filter((line) => line.trim() !== "" && !NOTICE.test(line))
        .map((line) => `${mark}${this.plain(line.trimEnd())}`);
    return [...lines(stdout, ""), ...lines(stderr, "! "), `-> ${code}`];
  }

  /** Submits a job, which must succeed, and returns its id. */
  async submit(...words: string[]): Promise<string> {
    return await this.submitWith({}, ...words);
  }

  /** Submits a job with variables in the environment, and returns its id. */
  async submitWith(env: Record<string, string>, ...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sbatch", "--parsable", ...words], { env });
    const id = /^(\d+)$/m.exec(stdout)?.[1];
    if (code !== 0 || id === undefined) {
      throw new Error(`sbatch ${words.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    }
    this.#ids.push(id);
    return id;
  }

  /** Cancels a job at the end that was submitted in another way. */
  adopt(id: string): void {
    if (id !== "") this.#ids.push(id);
  }

  /** Returns the rows of squeue for a format, states in any order, as {@link plain} has them. */
  async queue(format: string, ids: readonly string[]): Promise<string[]> {
    const argv = ["squeue", "-h", "-t", "all", "-o", format, "-j", ids.join(",")];
    const { stdout } = await this.run(argv);
    return stdout.split("\n").filter((line) => line !== "").map((line) => this.plain(line)).sort();
  }

  /** Returns the rows of sacct for columns, once accounting has caught up. */
  async account(columns: string, ids: readonly string[], ...options: string[]): Promise<string[]> {
    const argv = ["sacct", "-n", "-P", ...options, "-o", columns, "-j", ids.join(",")];
    const { stdout } = await this.run(argv, { env: { SLURM_BITSTR_LEN: "0" } });
    return stdout.split("\n").filter((line) => line !== "").map((line) => this.plain(line)).sort();
  }

  /** Returns fields of `scontrol show job`, of each record of a job. */
  async fields(id: string, ...names: string[]): Promise<string[]> {
    const { stdout } = await this.run(["scontrol", "-o", "show", "job", id], {
      env: { SLURM_BITSTR_LEN: "0" },
    });
    return stdout.split("\n").filter((line) => line.startsWith("JobId=")).map((line) =>
      names.map((name) => {
        const value = new RegExp(`(?:^| )${name}=(.*?)(?= [A-Z][\\w:/]*=|\\s*$)`).exec(line)?.[1];
        return this.plain(`${name}=${value}`);
      }).join(" ")
    ).sort();
  }

  /** Waits until squeue shows what it is asked for: rows of a format that hold `wanted`. */
  async until(ids: readonly string[], wanted: RegExp, format = "%i %T %r"): Promise<void> {
    const deadline = performance.now() + 90_000;
    for (let pause = 100;; pause = Math.min(pause * 1.5, 1000)) {
      const argv = ["squeue", "-r", "-h", "-t", "all", "-o", format, "-j", ids.join(",")];
      const { stdout } = await this.run(argv);
      const lines = stdout.split("\n").filter((line) => line !== "");
      if (lines.length > 0 && lines.every((line) => wanted.test(line))) return;
      if (performance.now() > deadline) throw new Error(`${wanted}: waited in vain: ${stdout}`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Lets the time limits of running jobs, a minute, be over in a few seconds. */
  async minuteIsOver(ids: readonly string[]): Promise<void> {
    if (this.side === "stand-in") return;
    // The time limit itself has no seconds. slurmctld looks every 30 s (22.05), and warns nobody
    // whose time it finds over.
    const end = await this.run(["date", "-d", "+32 seconds", "+%FT%T"]);
    for (const id of ids) {
      await this.run(["scontrol", "update", `JobId=${id}`, `EndTime=${end.stdout.trim()}`]);
    }
  }

  /** Waits until jobs have written files. */
  async wrote(...names: string[]): Promise<void> {
    const deadline = performance.now() + 60_000;
    for (const name of names) {
      while (await this.read(name) === undefined) {
        if (performance.now() > deadline) throw new Error(`${name} was waited for in vain`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** Waits until jobs are over, in accounting as well. */
  async over(...ids: string[]): Promise<void> {
    await this.until(ids, OVER);
    // For a second sacct shows of an array its last task alone (22.05).
    const expected = (await this.queue("%i", ids)).length;
    const deadline = performance.now() + 30_000;
    for (let pause = 200;; pause *= 1.3) {
      const argv = ["sacct", "-X", "-n", "-P", "-o", "JobID,State,End", "-j", ids.join(",")];
      const lines = (await this.run(argv)).stdout.split("\n").filter((line) => line !== "");
      const rows = new Set(lines.map((line) => line.split(/[_|]/, 1)[0]));
      const isWhole = lines.length >= expected && ids.every((id) => rows.has(id));
      if (isWhole && lines.every((line) => OVER.test(line))) return;
      if (performance.now() > deadline) throw new Error(`sacct lags: ${lines.join(" ")}`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Returns text without chance: jobs by the order of their submission, NODE, CLUSTER, DIR. */
  plain(text: string): string {
    let result = text;
    for (const [index, id] of this.#ids.entries()) {
      result = result.replace(new RegExp(`(?<!\\d)0*${id}(?!\\d)`, "g"), `J${index + 1}`);
    }
    return result.replaceAll(this.directory, "DIR")
      .replaceAll(/\blocal@[\w-]+|(?<=cluster |;)test\b/g, "CLUSTER")
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/g, "TIME")
      .replaceAll(new RegExp(`\\b(?:n[1-4]|${Deno.hostname().split(".")[0]})\\b`, "g"), "NODE")
      .replaceAll(/slurmstepd-NODE/g, "slurmstepd")
      .replaceAll(/^\/\S+\/(?=s\w+: )/gm, "")
      .replaceAll(`-${this.user}-`, "-USER-").replaceAll(
        `CANCELLED by ${Deno.uid()}`,
        "CANCELLED by UID",
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ids.length > 0) {
      await this.run(["scancel", ...this.#ids]);
      await this.until(this.#ids, OVER);
    }
    await removeScratch(this.scratch);
  }
}

/** So many programs run at the same time: hundreds would only be in each other's way. */
const WIDTH = 4;
let atWork = 0;
const queue: (() => void)[] = [];

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (atWork >= WIDTH) await new Promise<void>((resolve) => queue.push(resolve));
  else atWork++;
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next === undefined) atWork--;
    else next();
  }
}

/** The stand-in says on each submission that it is one; that is meant. */
const NOTICE = /this is datalad-slurm's local stand-in and no Slurm$/;

const OVER = /\b(?:COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)\b/;
