/**
 * What the journal says of commands that nobody can ask any more: of vanished machines, of other
 * versions, of branches that are gone.
 */
import assert from "node:assert/strict";
import { checkDataset, written } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import {
  jobsAreOver,
  jobsSubmittedBelow,
  noRealSlurm,
  until,
  useCluster,
} from "../support/real_slurm.ts";
import { isThere } from "../../lib/files.ts";
import { toolArgv, toolEnvironment } from "../support/tool.ts";
import { Working } from "../support/working.ts";
import { goOn } from "./crashes.ts";
import { type Interposed, runInterposed } from "./interpose.ts";
import { survey } from "./survival.ts";

useCluster();

const OUT = ["-o", "out", "sbatch", "write.sh", "out"];
/** A job that never runs. */
const HELD = ["-o", "out", "sbatch", "-H", "write.sh", "out"];
const VANISHED = ["unshare", "--uts", "sh", "-c", 'hostname vanished; exec "$@"', "sh"];

/** Runs the tool on a machine of another name, which kills it at a moment and is never seen again. */
async function onVanishedNode(
  dataset: TestDataset,
  args: readonly string[],
  moment: Interposed,
): Promise<void> {
  const { code, stderr } = await runInterposed(dataset, args, { ...moment, through: VANISHED });
  assert.equal(code, 137, stderr);
}

/** Returns the token that `recover` shows for the command on the vanished node. */
async function vanishedToken(dataset: TestDataset): Promise<string> {
  const { code, stderr } = await dataset.tool(["recover"]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Another command is at work[^]*@vanished, pid \d+[^]*recover --force \w+\n/);
  return /--force (\w+)/.exec(stderr)?.[1] ?? "no token";
}

function planted(dataset: TestDataset): string {
  return `${dataset.root}/.git/datalad-slurm/journal/planted`;
}

concurrently(noRealSlurm, {
  "recover --force goes on with a finish on a vanished node, as nobody else may": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const base = await dataset.git("rev-parse", "HEAD");
    const id = await dataset.schedule(OUT);
    await jobsAreOver([id]);
    const moment = { program: "git-annex", when: "*add*", before: "kill -KILL $TOOL" };
    await onVanishedNode(dataset, ["finish"], moment);
    const token = await vanishedToken(dataset);
    // Its claim and its entry for the files go with one word.
    assert.match(
      (await dataset.tool(["recover", "--force", token])).stderr,
      /Cleared away what a command that was cut short has left/,
    );
    await dataset.succeed(["finish"]);
    await checkDataset(dataset, { base, finished: { [id]: written(id, ["out"]) } });
    await survey(dataset);
  },
  "recover --force records the job that a command on a vanished node has submitted": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const moment = { program: "sbatch", after: "kill -KILL $TOOL" };
    await onVanishedNode(dataset, ["schedule", ...HELD], moment);
    const token = await vanishedToken(dataset);
    const refused = await dataset.tool(["schedule", ...OUT]);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /held by a job that is being submitted/);
    const [id = ""] = await jobsSubmittedBelow(dataset.root);
    const { code, stderr } = await dataset.tool(["recover", "--force", token]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`Recorded job ${id}`));
    await checkDataset(dataset, { base, open: [id] });
  },
  "recover --force refuses what it can see at work, and what it does not know": async () => {
    await using dataset = await TestDataset.make();
    const pipe = await dataset.pipe("gate");
    const scheduling = dataset.tool(["schedule", "-o", "out", `read w <'${pipe}'; exit 1`]);
    let token = "";
    await until("it is at work", async () => {
      const { stderr } = await dataset.tool(["recover"]);
      // Nobody is told to end what is alive.
      assert.doesNotMatch(stderr, /--force/);
      const { stdout } = await dataset.tool(["recover", "--json"]);
      token = /"token":"(\w+)"/.exec(stdout)?.[1] ?? "";
      return token !== "";
    });
    const alive = await dataset.tool(["recover", "--force", token]);
    assert.equal(alive.code, 1);
    assert.match(alive.stderr, /is at work on this machine, as pid \d+[^]*kill \d+/);
    await Deno.writeTextFile(pipe, "go\n");
    assert.equal((await scheduling).code, 3);
    const unknown = await dataset.tool(["recover", "--force", token]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /No command with the token/);
    assert.equal((await dataset.tool(["recover", "--job", "7"])).code, 2);
  },
  "what Slurm cannot tell of a dead command, the user can": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const bin = `${dataset.scratch.directory}/bin`;
    await Deno.mkdir(bin);
    for (const name of ["squeue", "sacct", "scontrol"]) {
      await Deno.writeTextFile(`${bin}/${name}`, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    }
    const blind = { env: { PATH: `${bin}:${dataset.env["PATH"]}` } };
    const cut = (output: string) => [
      "schedule",
      "-o",
      output,
      `sbatch -Q -H write.sh ${output}; sh kill_tool.sh`,
    ];
    assert.equal((await dataset.tool(cut("out"))).code, 137);
    const doubtful = await dataset.tool(["recover"], blind);
    assert.equal(doubtful.code, 1);
    const token = /Token: (\w+)/.exec(doubtful.stderr)?.[1] ?? "";
    const [id = ""] = await jobsSubmittedBelow(dataset.root);
    const told = await dataset.tool(["recover", "--force", token, "--job", id], blind);
    assert.match(told.stderr, new RegExp(`Recorded job ${id}`));
    await checkDataset(dataset, { base, open: [id] });
    // And where the user is wrong, Slurm's word counts.
    assert.equal((await dataset.tool(cut("other"))).code, 137);
    const { stderr } = await dataset.tool(["recover", "--report"]);
    const other = /Token: (\w+)/.exec(stderr)?.[1] ?? "";
    const right = await dataset.tool(["recover", "--force", other, "--job", "none"]);
    assert.match(right.stderr, /Recorded job/);
    await checkDataset(dataset, { base, open: await jobsSubmittedBelow(dataset.root) });
  },
  "a journal entry that cannot be read is in doubt, and every command goes on": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const first = await dataset.schedule(["-o", "a", "sbatch", "write.sh", "a"]);
    await Deno.mkdir(planted(dataset));
    for (const content of ['{"version": 99}', "not JSON", '{"version":1,"kind":"finish"}']) {
      await Deno.writeTextFile(`${planted(dataset)}/entry.json`, content);
      const { code, stderr } = await dataset.tool(["recover"]);
      assert.equal(code, 1);
      assert.match(stderr, /in doubt[^]*cannot be read: .*another version[^]*journal\/planted/);
    }
    await Deno.writeTextFile(`${planted(dataset)}/stdout`, "Submitted batch job 4711\n");
    const status = await dataset.tool(["status"]);
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stderr, /Submitted batch job 4711/);
    const second = await dataset.schedule(["-o", "b", "sbatch", "write.sh", "b"]);
    await jobsAreOver([first, second]);
    const finished = await dataset.tool(["finish"]);
    assert.equal(finished.code, 0, finished.stderr);
    assert.match(finished.stderr, /in doubt what became of another command/);
    const forced = await dataset.tool(["recover", "--force", "planted"]);
    assert.equal(forced.code, 1);
    assert.match(forced.stderr, /remove the directory/);
    await Deno.remove(planted(dataset), { recursive: true });
    await checkDataset(dataset, {
      base,
      finished: { [first]: written(first, ["a"]), [second]: written(second, ["b"]) },
    });
  },
  "a job whose branch is gone by the time it is recorded goes to the one checked out": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    await dataset.git("switch", "-q", "-c", "short");
    const cut = { program: "sbatch", after: "kill -KILL $TOOL" };
    assert.equal((await runInterposed(dataset, ["schedule", ...HELD], cut)).code, 137);
    await dataset.git("switch", "-q", "main");
    await dataset.git("branch", "-q", "-D", "short");
    await goOn(dataset);
    await checkDataset(dataset, { base, open: await jobsSubmittedBelow(dataset.root) });
  },
  "a job of a detached work tree is recorded there, by whomsoever": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("worktree", "add", "-q", "--detach", "../other");
    const other = dataset.at(`${dataset.scratch.directory}/other`);
    const cut = { program: "sbatch", after: "kill -KILL $TOOL" };
    assert.equal((await runInterposed(other, ["schedule", ...OUT], cut)).code, 137);
    const before = await dataset.git("rev-parse", "HEAD");
    await goOn(dataset);
    assert.equal(await dataset.git("rev-parse", "HEAD"), before);
    assert.match(await other.git("log", "-1", "--format=%s"), /^\[DATALAD SCHEDULE\]/);
    const [id = ""] = await jobsSubmittedBelow(other.root);
    await jobsAreOver([id]);
    await other.succeed(["finish"]);
    assert.equal(await other.git("show", "HEAD:out"), "result of out");
  },
  "what a finish was killed over in one work tree is put in order from any other": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("worktree", "add", "-q", "-b", "side", "../other");
    const other = dataset.at(`${dataset.scratch.directory}/other`);
    for (const [one, another] of [[other, dataset], [dataset, other]] as const) {
      const id = await one.schedule(OUT);
      await jobsAreOver([id]);
      const cut = { program: "git", when: "*update-ref*finish*", after: "kill -KILL $TOOL" };
      assert.equal((await runInterposed(one, ["finish"], cut)).code, 137);
      const lock = `${await one.git("rev-parse", "--absolute-git-dir")}/index.lock`;
      assert.ok(isThere(lock));
      await goOn(another);
      assert.ok(!isThere(lock));
      assert.equal(await one.git("status", "--porcelain"), "");
      assert.equal(await one.git("show", "HEAD:out"), "result of out");
      await one.git("rm", "-q", "out");
      await one.git("commit", "-q", "-m", "Make room");
    }
  },
  "reservations that are gone are made again, on whatever branch their jobs are": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("switch", "-q", "-c", "side");
    const id = await dataset.schedule(["-o", "out", "sbatch", "-H", "write.sh", "out"]);
    const tree = `${dataset.root}/.git/datalad-slurm/reservations/main`;
    await Deno.remove(`${tree}/=/=out`);
    const recovered = await dataset.succeed(["recover"]);
    assert.match(recovered, /Reserved the output "out", which an open job will write/);
    assert.deepEqual((await survey(dataset)).open, [id]);
    await dataset.git("switch", "-q", "main");
    await Deno.remove(tree, { recursive: true });
    const { code, stderr } = await dataset.tool(["schedule", ...OUT]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /held by an open job that is not in the history of this branch/);
  },
  "who waits for outputs gets them when their holder dies": async () => {
    await using dataset = await TestDataset.make();
    const base = await dataset.git("rev-parse", "HEAD");
    const pipe = await dataset.pipe("gate");
    const first = new Deno.Command(toolArgv()[0] ?? "", {
      args: [...toolArgv().slice(1), "schedule", "-o", "out", `read w <'${pipe}'; exit 1`],
      cwd: dataset.root,
      clearEnv: true,
      env: { ...dataset.env, ...toolEnvironment() },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const holds = () => isThere(`${dataset.root}/.git/datalad-slurm/reservations/main/=/=out`);
    await until("the outputs are held", holds);
    const waiting = ["schedule", "--wait-for-outputs", ...HELD];
    await using second = new Working(dataset, waiting);
    await until("the wait is told", () => second.stderr.includes("\n"));
    assert.match(
      second.stderr,
      /^The output "out" is held by a job that is being submitted; waiting until it is free\n$/,
    );
    first.kill("SIGKILL");
    await Deno.writeTextFile(pipe, "go\n");
    assert.equal(await second.code(), 0);
    assert.equal(second.stderr.split("\n").length, 2, "The wait is told once");
    await checkDataset(dataset, { base, open: await jobsSubmittedBelow(dataset.root) });
  },
  "a wait ends at once on Ctrl-C": async () => {
    const module = new URL("../../lib/process/interruption.ts", import.meta.url).href;
    const script = `const { pause, watchSignals } = await import(${JSON.stringify(module)});
      watchSignals(() => console.log("told"));
      console.log("waits");
      await pause(600_000);
      Deno.exit(7);`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", script],
      env: toolEnvironment(),
      stdout: "piped",
    }).spawn();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (said === "") child.kill("SIGINT");
      said += text;
    }
    assert.deepEqual([said, (await child.status).code], ["waits\ntold\n", 7]);
  },
});
