import assert from "node:assert/strict";
import { encodeMessage } from "../../lib/record/message.ts";
import { FakeSlurm } from "./fake_slurm.ts";
import { quoted, runOnTerminal } from "./pseudo_terminal.ts";
import { makeScratch, output, removeScratch, runProgram, type Scratch } from "./scratch.ts";
import { linkTool, toolArgv, toolEnvironment } from "./tool.ts";

/** Set to write the golden files anew (`make golden`). */
const isWriting = Deno.env.get("DATALAD_SLURM_GOLDEN") === "write";

const folder = new URL("../../fixtures/golden/", import.meta.url);

/** Holds text to a golden file, or writes it. */
export async function assertGolden(name: string, text: string): Promise<void> {
  const file = new URL(`${name}.txt`, folder);
  if (isWriting) return await Deno.writeTextFile(file, text);
  const expected = await Deno.readTextFile(file);
  assert.equal(text, expected, `fixtures/golden/${name}.txt differs; make golden writes it anew`);
}

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x09\x0b-\x1f\x7f]/g;

const CLONE = "00000000-0000-4000-8000-00000000901d";

/** An open job of a golden dataset, and what Slurm says of it. */
export interface GoldenJob {
  readonly id: string;
  readonly outputs: readonly string[];
  /** Slurm's word; a job without it belongs to another clone. */
  readonly state?: string;
  readonly reason?: string;
  readonly exit?: string;
  /** How long ago it was submitted, started and has ended, in seconds. */
  readonly ago: number;
}

/** How the tool's output is looked at. */
export interface View {
  /** A terminal of that size; a pipe when absent. */
  readonly terminal?: { readonly columns: number; readonly rows?: number };
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A dataset whose jobs have fixed ids and states: Slurm's programs are stand-ins, so that what is
 * printed is the same everywhere.
 */
export class GoldenDataset implements AsyncDisposable {
  readonly slurm = new FakeSlurm();
  readonly #scratch: Scratch;
  readonly #names = new Map<string, string>();

  private constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Makes a dataset with one commit and open jobs. */
  static async make(jobs: readonly GoldenJob[] = []): Promise<GoldenDataset> {
    const dataset = new GoldenDataset(await makeScratch());
    await Deno.mkdir(dataset.root);
    await dataset.git("init", "--quiet");
    await dataset.git("config", "datalad-slurm.uuid", CLONE);
    await Deno.writeTextFile(`${dataset.root}/job.sh`, "#!/bin/sh\n");
    await dataset.git("add", "job.sh");
    await dataset.git("commit", "--quiet", "-m", "Job");
    if (jobs.length > 0) await dataset.#record(jobs);
    dataset.answer(jobs);
    return dataset;
  }

  get root(): string {
    return `${this.#scratch.directory}/ds`;
  }

  /** A directory outside the dataset, which is removed with it. */
  get scratch(): string {
    return this.#scratch.directory;
  }

  /** Returns the environment of a user who calls the tool by its name. */
  async user(): Promise<Record<string, string>> {
    const bin = `${this.scratch}/bin`;
    await Deno.mkdir(bin);
    await linkTool(`${bin}/datalad-slurm`);
    return { ...this.env, PATH: `${bin}:${this.env["PATH"]}` };
  }

  /** Commits annexed files of some size whose content is in another clone, and slow to fetch. */
  async annexInputs(sizes: Readonly<Record<string, number>>, bytesPerSecond: string) {
    const origin = `${this.scratch}/origin`;
    await this.git("clone", "--quiet", this.root, origin);
    const there = async (...args: string[]) =>
      await output(["git", ...args], { cwd: origin, env: this.#scratch.env });
    await there("annex", "init", "--quiet", "origin");
    for (const [path, size] of Object.entries(sizes)) {
      const content = new Uint8Array(size).map((_, index) => index * 7 + path.length);
      await Deno.writeFile(`${origin}/${path}`, content);
    }
    await there("annex", "add", "--quiet", ".");
    await there("commit", "--quiet", "-m", "Inputs");
    await this.git("remote", "add", "origin", origin);
    await this.git("fetch", "--quiet", "origin");
    await this.git("merge", "--quiet", "--ff-only", "origin/main");
    await this.git("annex", "init", "--quiet", "here");
    await this.git("config", "remote.origin.annex-bwlimit", bytesPerSecond);
  }

  get env(): Record<string, string> {
    const { env } = this.#scratch;
    return {
      ...env,
      PATH: `${this.slurm.folder}/bin:${env["PATH"]}`,
      HOSTNAME: "login",
      ...toolEnvironment(),
    };
  }

  /** Runs git, which must succeed, and returns its stdout. */
  async git(...args: string[]): Promise<string> {
    return await output(["git", ...args], { cwd: this.root, env: this.#scratch.env });
  }

  /**
   * Runs the tool and returns the command line and all that it printed: on a terminal as it was
   * written there, in a pipe with a mark before each line of stderr. What differs from run to run
   * is put in a fixed form of the same width; escapes are visible.
   */
  async show(args: readonly string[], { terminal, env = {} }: View = {}): Promise<string> {
    const argv = [...toolArgv(), ...args];
    const options = { cwd: this.root, env: { ...this.env, ...env } };
    const { code, stdout, stderr } = terminal === undefined
      ? await runProgram(argv, options)
      : await runOnTerminal(argv, { rows: 24, ...options, ...terminal });
    const words = args.map((word) => /^[\w./=-]+$/.test(word) ? word : quoted(word));
    const where = terminal === undefined ? "a pipe" : `a terminal of ${terminal.columns} columns`;
    const variables = Object.entries(env).map(([name, value]) => `, ${name}=${value}`).join("");
    const lines = [
      `$ datalad-slurm ${words.join(" ")}    # ${where}${variables}`,
      ...linesOf(stdout),
      ...linesOf(stderr).map((line) => `2> ${line}`),
      ...(code === 0 ? [] : [`# exit code ${code}`]),
    ];
    const commits = (await this.git("rev-list", "--all", "--reflog")).split("\n");
    return this.#normalised(
      lines.map((line) => `${line}\n`).join(""),
      new Set(commits.map((id) => id.slice(0, 10))),
    );
  }

  /** A number of ten digits may be a commit, or the id of a job. */
  #normalised(text: string, commits: ReadonlySet<string>): string {
    return text
      .replaceAll(this.#scratch.directory, "/scratch")
      .replace(
        /\b[0-9a-f]{40}\b|\b[0-9a-f]{10}\b/g,
        (id) => /[a-f]/.test(id) || commits.has(id.slice(0, 10)) ? this.#named(id) : id,
      )
      .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d\b/g, "2026-01-02 03:04")
      .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "2026-01-02T03:04:05Z")
      .replace(/^(2> )?[ \d]{6} ms /gm, "$1     N ms ")
      .replace(
        CONTROLS,
        (control) =>
          control === "\x1b" ? "\\e" : `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
      );
  }

  /** Commits are named by letters in the order in which they are seen. */
  #named(id: string): string {
    const start = id.slice(0, 10);
    const letter = this.#names.get(start) ?? "abcdef"[this.#names.size % 6] ?? "f";
    this.#names.set(start, letter);
    return letter.repeat(id.length);
  }

  /** Writes files into the dataset. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${this.root}/${path}`, content);
    }
  }

  /** Makes a schedule commit for each job, all at once. */
  async #record(jobs: readonly GoldenJob[]): Promise<void> {
    const encoder = new TextEncoder();
    const stream = jobs.map(({ id, outputs, state }, index) => {
      const message = encodeMessage({
        kind: "schedule",
        jobId: id,
        record: {
          chain: [],
          cmd: "sbatch job.sh",
          extra_inputs: [],
          inputs: [],
          outputs: [...outputs],
          pwd: ".",
          slurm_job_id: id,
          datalad_slurm: {
            version: 1,
            token: `golden${id}`,
            clone: state === undefined ? CLONE.replace("901d", "0000") : CLONE,
            submitted_at: "2026-01-02T03:04:05.000Z",
          },
        },
      });
      return [
        "commit refs/heads/main",
        `committer Ada Lovelace <ada@example.org> ${1767323045 + index} +0000`,
        `data ${encoder.encode(message).length}`,
        message,
        ...(index === 0 ? ["from refs/heads/main^0"] : []),
        "",
      ].join("\n");
    });
    await runProgram(["git", "fast-import", "--quiet"], {
      cwd: this.root,
      env: this.#scratch.env,
      stdin: stream.join(""),
    });
  }

  /** Lets Slurm say from now on that these are the jobs. */
  answer(jobs: readonly GoldenJob[]): void {
    const now = Math.floor(Date.now() / 1000);
    const rows = (live: boolean) =>
      jobs.flatMap((job) => {
        const { id, state, reason = "None", exit = "0:0", ago } = job;
        const isLive = state === "RUNNING" || state === "PENDING";
        if (state === undefined || live && !isLive) return [];
        const time = String(now - ago);
        const start = state === "PENDING" ? "Unknown" : time;
        const end = isLive ? "Unknown" : time;
        return live
          ? [[id, id, state, time, start, end, reason]]
          : [[id, id, state, exit, time, start, end, reason]];
      });
    const print = (program: string, cells: readonly (readonly string[])[]) =>
      this.slurm.put(program, { stdout: cells.map((row) => `${row.join("\x1f")}\n`).join("") });
    print("sacct", rows(false));
    print("squeue", rows(true));
    this.slurm.put("scontrol", { code: 1 });
    this.slurm.put("sbatch", { stdout: "Submitted batch job 9163390\n" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.slurm[Symbol.asyncDispose]();
    await removeScratch(this.#scratch);
  }
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}
