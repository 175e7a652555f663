import assert from "node:assert/strict";
import { build } from "../../lib/executable/build.ts";
import { jobsAreOver, noRealSlurm, slurmEnvironment, useCluster } from "../support/real_slurm.ts";
import {
  makeScratch,
  output,
  type Ran,
  removeScratch,
  runProgram,
  type Scratch,
} from "../support/scratch.ts";

// Users of each Debian, whom Slurm's daemons know.
const [OWNER, OTHER, GROUP] = ["games", "backup", "users"] as const;
const noUsers = noRealSlurm || Deno.uid() !== 0;

if (!noUsers) useCluster();

let executable = "";
let workspace = "";
Deno.test.beforeAll(async () => {
  if (noUsers) return;
  workspace = await Deno.makeTempDir();
  await Deno.chmod(workspace, 0o755);
  executable = `${workspace}/datalad-slurm`;
  await build(executable, new URL("../../main.ts", import.meta.url).pathname);
});
Deno.test.afterAll(async () => {
  if (workspace !== "") await Deno.remove(workspace, { recursive: true });
});

/** A repository that a group shares, and its users, who have the usual umask. */
class SharedRepository implements AsyncDisposable {
  readonly root: string;

  private constructor(private readonly scratch: Scratch) {
    this.root = `${scratch.directory}/ds`;
  }

  static async make(kind: "git" | "annex"): Promise<SharedRepository> {
    const repository = new SharedRepository(await makeScratch());
    const { scratch: { directory }, root } = repository;
    await Deno.chmod(directory, 0o755);
    for (const [user, path] of [[OWNER, root], [OWNER, OWNER], [OTHER, OTHER]] as const) {
      const made = path === root ? root : `${directory}/${path}`;
      await Deno.mkdir(made);
      await output(["chown", `${user}:${GROUP}`, made], { cwd: "/", env: {} });
    }
    await Deno.chmod(root, 0o2775);
    for (const user of [OWNER, OTHER]) {
      await repository.succeed(user, "git", "config", "--global", "safe.directory", "*");
      await repository.succeed(user, "git", "config", "--global", "user.name", user);
      await repository.succeed(user, "git", "config", "--global", "user.email", `${user}@x`);
    }
    await repository.succeed(OWNER, "git", "init", "-q", "--shared=group");
    // Git-annex makes some of its directories by the umask alone (10.20230126).
    if (kind === "annex") {
      await repository.succeed(OWNER, "sh", "-c", "umask 002; git annex init -q here");
    }
    const script = "printf '#!/bin/sh\\necho $1 >$1.txt\\n' >job.sh && chmod +x job.sh";
    await repository.succeed(OWNER, "sh", "-c", script);
    await repository.succeed(OWNER, "git", "add", "job.sh");
    await repository.succeed(OWNER, "git", "commit", "-qm", "Script");
    return repository;
  }

  /** Runs a program as one of the users. */
  run(user: string, argv: readonly string[], path = ""): Promise<Ran> {
    const as = ["setpriv", `--reuid=${user}`, `--regid=${GROUP}`, "--clear-groups"];
    return runProgram([...as, "sh", "-c", 'umask 022; exec "$@"', "sh", ...argv], {
      cwd: this.root,
      env: {
        ...slurmEnvironment(),
        PATH: `${path}${Deno.env.get("PATH")}`,
        HOME: `${this.scratch.directory}/${user}`,
        LC_ALL: "C.UTF-8",
      },
    });
  }

  async succeed(user: string, ...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(user, argv);
    assert.equal(code, 0, `${user}: ${argv.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Schedules a job that writes `NAME.txt`, and returns its id. */
  async schedule(user: string, name: string): Promise<string> {
    const job = ["-o", `${name}.txt`, "sbatch", "job.sh", name];
    const stdout = await this.succeed(user, executable, "schedule", ...job);
    return /^Submitted batch job (\d+)$/m.exec(stdout)?.[1] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeScratch(this.scratch);
  }
}

for (const kind of ["git", "annex"] as const) {
  Deno.test({
    name: `users of one shared repository finish each other's jobs (${kind})`,
    ignore: noUsers,
    async fn() {
      await using repository = await SharedRepository.make(kind);
      const jobs = [
        await repository.schedule(OWNER, "a"),
        await repository.schedule(OTHER, "b"),
      ];
      await jobsAreOver(jobs);
      await repository.succeed(OTHER, executable, "finish");
      const third = await repository.schedule(OWNER, "c");
      await jobsAreOver([third]);
      await repository.succeed(OTHER, executable, "finish");
      for (const name of ["a", "b", "c"]) {
        const shown = await repository.succeed(
          OWNER,
          "git",
          "log",
          "--format=%an %s",
          `${name}.txt`,
        );
        assert.match(shown, new RegExp(`^${OTHER} \\[DATALAD FINISH\\] .*: Complete\n$`));
      }
      assert.equal(await repository.succeed(OWNER, "git", "status", "--porcelain"), "");
      assert.equal(await repository.succeed(OWNER, executable, "status"), "No open jobs\n");
    },
  });
}

Deno.test({
  name: "what a killed user's command has submitted is recorded by another user",
  ignore: noUsers,
  async fn() {
    await using repository = await SharedRepository.make("git");
    const bin = `${repository.root}/.git/bin`;
    const real = (await repository.succeed(OWNER, "sh", "-c", "command -v sbatch")).trim();
    await repository.succeed(OWNER, "mkdir", bin);
    await Deno.writeTextFile(
      `${bin}/sbatch`,
      `#!/bin/sh\n${real} "$@"\nkill -KILL $(cat ${bin}/pid)\n`,
      { mode: 0o755 },
    );
    const schedule = `echo $$ >${bin}/pid; exec ${executable} schedule -o a.txt sbatch job.sh a`;
    const killed = await repository.run(OWNER, ["sh", "-c", schedule], `${bin}:`);
    assert.notEqual(killed.code, 0);
    await repository.succeed(OTHER, executable, "recover");
    const log = await repository.succeed(OTHER, "git", "log", "--format=%s");
    const id = /^\[DATALAD SCHEDULE\] Submitted batch job (\d+): Pending\n/.exec(log)?.[1];
    assert.ok(id !== undefined, `${log}${killed.stderr}`);
    await jobsAreOver([id]);
    await repository.succeed(OWNER, executable, "finish");
    assert.equal(await repository.succeed(OTHER, "cat", "a.txt"), "a\n");
    assert.equal(
      await repository.succeed(OTHER, executable, "recover"),
      "Nothing was left unfinished\n",
    );
  },
});
