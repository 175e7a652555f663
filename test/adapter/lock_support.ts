import { run, text } from "../../lib/process/run.ts";
import { Claim } from "../../lib/store/lock_claim.ts";
import { ownIdentity, type ProcessIdentity } from "../../lib/store/lock_identity.ts";
import { list } from "../../lib/store/lock_layout.ts";
import { atSomeNode } from "../support/tool.ts";
import type { WorkerLine, WorkerOptions } from "./lock_worker.ts";

const EPOCH = "refs/datalad-slurm/epoch";
const NOTHING = "0".repeat(40);
const ROOT = new URL("../../", import.meta.url).pathname;

/** What a test starts programs with: nothing of the user's own. */
export const environment = (): Record<string, string> => ({
  PATH: Deno.env.get("PATH") ?? "",
  HOME: "/nonexistent",
  DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache/deno`,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  ...Object.fromEntries(
    ["AUTHOR", "COMMITTER"].flatMap((who) => [
      [`GIT_${who}_NAME`, "A"],
      [`GIT_${who}_EMAIL`, "a@example.com"],
    ]),
  ),
});

/** Runs a test with a lock directory of its own. */
export async function withLockDirectory(
  test: (directory: string) => void | Promise<void>,
): Promise<void> {
  const parent = Deno.makeTempDirSync({ prefix: "datalad-slurm lock ü " });
  try {
    await test(`${parent}/datalad-slurm/lock`);
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
}

export interface Worker {
  readonly child: Deno.ChildProcess;
  readonly lines: Promise<WorkerLine[]>;
}

/** Starts the worker, below another program when `prefix` names one, at one node or another. */
export function startWorker(options: WorkerOptions, prefix: readonly string[] = []): Worker {
  const [program = "", ...args] = atSomeNode([
    ...prefix,
    Deno.execPath(),
    "run",
    "--no-check",
    "--allow-all",
    `--config=${ROOT}deno.json`,
    new URL("./lock_worker.ts", import.meta.url).pathname,
    JSON.stringify(options),
  ], "/");
  const child = new Deno.Command(program, {
    args,
    env: environment(),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  return { child, lines: child.output().then((output) => parseLines(text(output.stdout))) };
}

function parseLines(output: string): WorkerLine[] {
  return output.split("\n").slice(0, -1).map((line) => JSON.parse(line) as WorkerLine);
}

/** Returns how many pairs of holds overlap; a hold without an end ended the moment it began. */
export function overlaps(lines: readonly WorkerLine[]): number {
  const open = new Map<string, number>();
  const holds: { begin: number; end: number }[] = [];
  for (const { pid, contender, event, time } of lines) {
    const who = `${pid} ${contender}`;
    if (event === "begin") open.set(who, holds.push({ begin: time, end: time }) - 1);
    const hold = holds[open.get(who) ?? -1];
    if (hold !== undefined) hold.end = Math.max(hold.end, time);
    // What it says between its holds, such as that it fences, belongs to none.
    if (event === "end") open.delete(who);
  }
  holds.sort((a, b) => a.begin - b.begin);
  let count = 0;
  let latest = -Infinity;
  for (const { begin, end } of holds) {
    if (begin < latest) count += 1;
    latest = Math.max(latest, end);
  }
  return count;
}

/** Resolves when the condition holds; the test hangs, and so fails, when it never does. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Says whether a process is stopped (SIGSTOP). */
export function isStopped(pid: number): boolean {
  return / T /.test(Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\)/, ""));
}

/** Returns the names of all that is left in a lock's directory. */
export function leftovers(directory: string): string[] {
  return (list(directory) ?? []).flatMap((name) =>
    name === "q" ? list(`${directory}/q`) ?? [] : [name]
  );
}

/** An identity like ours of a process that has ended. */
export async function deadIdentity(): Promise<ProcessIdentity> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return { ...ownIdentity(), pid: child.pid };
}

/** Makes the lock be held by a process of that identity, without any heartbeat; returns its token. */
export function plantHolder(
  directory: string,
  identity: ProcessIdentity,
  phase = "working",
): string {
  Deno.mkdirSync(`${directory}/q`, { recursive: true });
  const options = { directory, command: "planted", phase, identity, sharedMode: undefined };
  const claim = new Claim(options);
  claim.prepare();
  if (claim.tryAcquire() !== "acquired") throw new Error("The lock is held by somebody else");
  return claim.token;
}

async function git(
  repository: string,
  args: readonly string[],
  stdin?: string,
): Promise<{ code: number; out: string }> {
  const result = await run(["git", ...args], {
    cwd: repository,
    env: environment(),
    ...(stdin === undefined ? {} : { stdin }),
  });
  return { code: result.code, out: text(result.stdout).trim() };
}

/** Makes a repository with one commit and returns its path. */
export async function makeRepository(path: string): Promise<void> {
  Deno.mkdirSync(path, { recursive: true });
  await git(path, ["init", "--quiet", "--initial-branch=main"]);
  await git(path, ["commit", "--quiet", "--allow-empty", "--message=first"]);
}

export async function countCommits(repository: string): Promise<number> {
  return Number((await git(repository, ["rev-list", "--count", "main"])).out);
}

/** Returns what the epoch is, all zeros when there is none yet. */
export async function readEpoch(repository: string): Promise<string> {
  const { code, out } = await git(repository, ["rev-parse", "--quiet", "--verify", EPOCH]);
  return code === 0 ? out : NOTHING;
}

export async function gitFence(repository: string, _token: string, value: string): Promise<void> {
  const old = await readEpoch(repository);
  const blob = (await git(repository, ["hash-object", "-w", "--stdin"], value)).out;
  await git(repository, ["update-ref", EPOCH, blob, old]);
}

/** Adds a commit in one transaction that verifies the epoch; says whether git accepted it. */
export async function publish(
  repository: string,
  epoch: string,
  message: string,
): Promise<boolean> {
  const tip = (await git(repository, ["rev-parse", "main"])).out;
  const commit = await git(repository, ["commit-tree", "-p", tip, "-m", message, `${tip}^{tree}`]);
  const transaction =
    `start\nverify ${EPOCH} ${epoch}\nupdate refs/heads/main ${commit.out} ${tip}\n` +
    "prepare\ncommit\n";
  return (await git(repository, ["update-ref", "--stdin"], transaction)).code === 0;
}
