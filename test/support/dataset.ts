import { cancelJobsBelow, slurmEnvironment } from "./real_slurm.ts";
import {
  makeScratch,
  output,
  type Ran,
  type RanWith,
  removeScratch,
  runProgram,
  type Scratch,
} from "./scratch.ts";
import { runTool, toolArgv, toolEnvironment } from "./tool.ts";

/**
 * What a dataset of a test is: a plain git repository; one with an annex that takes all files but
 * git's and DataLad's own; or one whose annex takes binary files only, as `text2git` sets it up.
 */
export type DatasetKind = "git" | "annex" | "text2git";

/** How a dataset is made. */
export interface DatasetOptions {
  readonly kind?: DatasetKind;
  /** The name of the dataset's directory. */
  readonly name?: string;
  /** Whether there is a first commit with the scripts; otherwise the repository is empty. */
  readonly empty?: boolean;
}

/** A dataset in a scratch directory of its own. */
export class TestDataset implements AsyncDisposable {
  /** Laid over the environment of everything that is run here. */
  readonly env: Record<string, string>;

  private constructor(readonly scratch: Scratch, readonly root: string) {
    this.env = { ...scratch.env, ...slurmEnvironment() };
  }

  /** Makes a dataset with the scripts of `fixtures/scripts` in its first commit. */
  static async make(options: DatasetOptions = {}): Promise<TestDataset> {
    const { kind = "git", name = "ds", empty = false } = options;
    const scratch = await makeScratch();
    const dataset = new TestDataset(scratch, `${scratch.directory}/${name}`);
    await Deno.mkdir(dataset.root);
    await dataset.git("init", "-q");
    if (kind !== "git") await dataset.makeAnnex(kind);
    if (empty) return dataset;
    const scripts = new URL("../../fixtures/scripts/", import.meta.url);
    for (const script of Deno.readDirSync(scripts)) {
      await Deno.copyFile(new URL(script.name, scripts), `${dataset.root}/${script.name}`);
    }
    await dataset.commit("Scripts");
    return dataset;
  }

  /** Returns another repository in the same scratch directory, which is removed with this one. */
  at(root: string): TestDataset {
    return new TestDataset(this.scratch, root);
  }

  private async makeAnnex(kind: DatasetKind): Promise<void> {
    await this.git("annex", "init", "-q", "here");
    const largeFiles = kind === "text2git"
      ? "* annex.largefiles=((mimeencoding=binary)and(largerthan=0))\n"
      : "*.sh annex.largefiles=nothing\n";
    await this.write(
      ".gitattributes",
      `* annex.backend=MD5E\n**/.git* annex.largefiles=nothing\n${largeFiles}`,
    );
    await this.write(".datalad/.gitattributes", "config annex.largefiles=nothing\n");
    await this.write(".datalad/config", `[datalad "dataset"]\n\tid = ${DATASET_ID}\n`);
  }

  /** Runs a program in the dataset, or in a directory of it. */
  async run(
    argv: readonly string[],
    options: Partial<RanWith> & { readonly in?: string } = {},
  ): Promise<Ran> {
    const { in: below, ...rest } = options;
    return await runProgram(argv, {
      cwd: below === undefined ? this.root : `${this.root}/${below}`,
      ...rest,
      env: { ...this.env, ...options.env },
    });
  }

  /** Runs git, which must succeed, and returns its stdout without the last newline. */
  async git(...args: string[]): Promise<string> {
    const options = { cwd: this.root, env: { ...this.env, GIT_OPTIONAL_LOCKS: "0" } };
    return (await output(["git", ...args], options)).replace(/\n$/, "");
  }

  /** Runs the tool in the dataset, or in a directory of it. */
  async tool(
    args: readonly string[],
    options: Partial<RanWith> & { readonly in?: string } = {},
  ): Promise<Ran> {
    const { in: below, ...rest } = options;
    return await runTool(args, {
      cwd: below === undefined ? this.root : `${this.root}/${below}`,
      ...rest,
      env: { ...this.env, ...options.env },
    });
  }

  /** Runs the tool as a user whom permissions bind, root or not. */
  async bound(args: readonly string[]): Promise<Ran> {
    const bounding = "--bounding-set=-dac_override,-dac_read_search";
    return await this.run(["setpriv", bounding, ...toolArgv(), ...args], {
      env: toolEnvironment(),
    });
  }

  /** Runs the tool, which must end with exit code 0, and returns its stdout. */
  async succeed(
    args: readonly string[],
    options: Partial<RanWith> & { readonly in?: string } = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.tool(args, options);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Schedules a job, which must succeed, and returns its id. */
  async schedule(
    args: readonly string[],
    options: Partial<RanWith> & { readonly in?: string } = {},
  ): Promise<string> {
    return jobIdIn(await this.succeed(["schedule", ...args], options));
  }

  /** Writes a file, in directories made for it. */
  async write(path: string, content: string): Promise<void> {
    const full = `${this.root}/${path}`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(full, content);
  }

  /** Commits everything that is in the work tree, as the user. */
  async commit(message: string): Promise<string> {
    await this.git("add", "-A");
    await this.git("commit", "-q", "--allow-empty", "-m", message);
    return await this.git("rev-parse", "HEAD");
  }

  /** Returns the record in a commit's message, which is of any form. */
  // deno-lint-ignore no-explicit-any
  async record(commit = "HEAD"): Promise<any> {
    const message = await this.git("log", "-1", "--format=%B", commit);
    const json = /^=== Do not change lines below ===\n([^]*)\n\^\^\^/m.exec(message)?.[1];
    return JSON.parse(json ?? "");
  }

  /** Returns a PATH on which scripts stand before all other programs. */
  async pathWith(scripts: Readonly<Record<string, string>>): Promise<string> {
    const bin = await Deno.makeTempDir({ dir: this.scratch.directory });
    for (const [name, script] of Object.entries(scripts)) {
      await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    return `${bin}:${this.env["PATH"]}`;
  }

  /** Makes a named pipe outside the dataset, on which a job can wait, and returns its path. */
  async pipe(name: string): Promise<string> {
    const path = `${this.scratch.directory}/${name}`;
    await this.run(["mkfifo", path]);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await cancelJobsBelow(this.scratch.directory);
    await removeScratch(this.scratch);
  }
}

/** The `datalad.dataset.id` of the datasets. */
export const DATASET_ID = "0dd4bd9f-6d3d-4f53-a5c5-2c1b4e5c6a01";

/** Returns the job id in what `schedule` or `reschedule` prints. */
export function jobIdIn(stdout: string): string {
  const id = /^Submitted batch job (\d+)/m.exec(stdout)?.[1];
  if (id === undefined) throw new Error(`No job id in ${JSON.stringify(stdout)}`);
  return id;
}

/** Lets a job go on that reads from a named pipe. */
export async function letGo(pipe: string, word = "go"): Promise<void> {
  await Deno.writeTextFile(pipe, `${word}\n`, { create: false });
}

/**
 * Has git run shell commands in a state of the transaction that moves a branch, and returns the path of
 * the hook that does so; exit code 1 in `prepared` forbids the move.
 */
export async function whenBranchMoves(
  dataset: TestDataset,
  state: "prepared" | "committed",
  commands: string,
): Promise<string> {
  const hook = `${dataset.root}/.git/hooks/reference-transaction`;
  await Deno.mkdir(`${dataset.root}/.git/hooks`, { recursive: true });
  const script = `[ "$1" = ${state} ] && grep -q ' refs/heads/' || exit 0\n${commands}\n`;
  await Deno.writeTextFile(hook, `#!/bin/sh\n${script}`, { mode: 0o755 });
  return hook;
}
