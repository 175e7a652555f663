import assert from "node:assert/strict";
import { allCommands } from "../../lib/cli/commands.ts";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { until, useCluster } from "../support/real_slurm.ts";
import { linkTool } from "../support/tool.ts";

const all = await allCommands();

useCluster();

const fixtures = new URL("../../fixtures/shells/", import.meta.url).pathname;

/** One word that a shell offers, and what it says of it. */
interface Offer {
  readonly word: string;
  readonly what: string;
}

/** A shell that completes lines in a dataset. */
type Completer = (words: readonly string[]) => Promise<Offer[]>;

/** A dataset with two open jobs and a directory whose name has a space in it. */
async function makeDataset(): Promise<{ dataset: TestDataset; jobs: string[]; commits: string[] }> {
  const dataset = await TestDataset.make();
  const bin = `${dataset.scratch.directory}/bin`;
  await Deno.mkdir(bin);
  await linkTool(`${bin}/datalad-slurm`);
  dataset.env["PATH"] = `${bin}:${dataset.env["PATH"]}`;
  await dataset.write("data of mine/file", "content\n");
  await dataset.commit("Data: with a colon");
  const jobs = [
    await dataset.schedule(["-o", "a", "sbatch", "-H", "write.sh", "a"]),
    await dataset.schedule(["-o", "b", "sbatch", "-H", "--job-name=x:y", "write.sh", "b"]),
  ];
  // The cache: how much of a history is read in a moment depends on the machine.
  await dataset.succeed(["status"]);
  return { dataset, jobs, commits: (await dataset.git("log", "--format=%h")).split("\n") };
}

async function saveScript(dataset: TestDataset, shell: string, path: string): Promise<string> {
  const full = `${dataset.scratch.directory}/${path}`;
  await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(full, await dataset.succeed(["completion", shell]));
  return full;
}

const shells: Readonly<Record<string, (dataset: TestDataset) => Promise<Completer>>> = {
  async bash(dataset) {
    const script = await saveScript(dataset, "bash", "datalad-slurm.bash");
    return async (words) => {
      const argv = ["bash", "--norc", `${fixtures}complete.bash`, script];
      const split = words.flatMap((word) =>
        /^--[\w-]+=/.test(word)
          ? [word.replace(/=.*/s, ""), "=", word.replace(/^[^=]*=/, "")]
          : word
      );
      // After an equals sign alone the current word is that sign.
      if (split.at(-1) === "" && split.at(-2) === "=") split.pop();
      const list = await dataset.run([...argv, "63", ...split]);
      const inserted = await dataset.run([...argv, "9", ...split]);
      assert.equal(list.stderr + inserted.stderr, "");
      const lines = (stdout: string) => stdout.split("\n").filter((line) => line !== "");
      const offers = lines(inserted.stdout).map((word, at) => ({
        word,
        what: lines(list.stdout)[at]?.slice(word.length + 2) ?? "",
      }));
      return offers;
    };
  },
  async zsh(dataset) {
    const script = await saveScript(dataset, "zsh", "functions/_datalad-slurm");
    const directory = script.slice(0, script.lastIndexOf("/"));
    return async (words) => {
      const work = await Deno.makeTempDir({ dir: dataset.scratch.directory });
      const argv = ["zsh", "-f", `${fixtures}complete.zsh`, directory, words.join(" "), work];
      const { stdout, stderr } = await dataset.run(argv, { env: { TERM: "xterm" } });
      assert.equal(stderr, "");
      return stdout.split("\n").filter((line) => line !== "").map((line) => {
        const [word = "", what = ""] = line.split(/ -- (.*)/s);
        return { word: word.replaceAll("\\ ", " "), what };
      });
    };
  },
  async fish(dataset) {
    const script = await saveScript(dataset, "fish", "datalad-slurm.fish");
    return async (words) => {
      const line = words.join(" ").replaceAll("'", "\\'");
      const argv = ["fish", "-c", `source '${script}'; complete -C'${line}'`];
      const { stdout, stderr } = await dataset.run(argv);
      assert.equal(stderr, "");
      return stdout.split("\n").filter((line) => line !== "").map((line) => {
        const [word = "", what = ""] = line.split("\t");
        return { word: word.replace(/^--[\w-]+=/, ""), what };
      });
    };
  },
};

function isMissing(program: string): boolean {
  return !(Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

for (const [shell, start] of Object.entries(shells)) {
  concurrently(isMissing(shell), {
    [`${shell} completes commands, options, values, files, jobs and commits`]: async () => {
      const { dataset, jobs, commits } = await makeDataset();
      await using _ = dataset;
      const complete = await start(dataset);
      const offered = async (...words: string[]) =>
        (await complete(["datalad-slurm", ...words])).map(({ word }) => word.replace(/\/$/, ""));

      const commands = all.filter(({ hidden }) => hidden !== true).map(({ name }) => name);
      const first = await offered("");
      for (const name of commands) assert(first.includes(name), name);
      assert(!first.includes("complete"), "A hidden command is offered");
      assert.deepEqual((await offered("resch")).map((word) => word.trim()), ["reschedule"]);
      assert.deepEqual(await offered("finish", "--close"), ["--close-failed-jobs"]);
      assert.deepEqual(await offered("schedule", "--expand", "in"), ["inputs"]);
      assert.deepEqual((await offered("schedule", "--expand=")).sort(), [
        "both",
        "inputs",
        "outputs",
      ]);
      assert.deepEqual(await offered("schedule", "-i", "data"), ["data of mine"]);
      assert.deepEqual((await offered("completion", "")).sort(), ["bash", "fish", "zsh"]);

      const targets = await complete(["datalad-slurm", "finish", ""]);
      assert.deepEqual(
        new Set(targets.map(({ word }) => word)),
        new Set([...jobs, ...commits.slice(0, 2)]),
      );
      const whatIs = (word: string) => targets.find((offer) => offer.word === word)?.what ?? "";
      assert.match(whatIs(jobs[1] ?? ""), /^sbatch -H --job-name=x:y write\.sh b$/);
      assert.match(
        whatIs(commits[0] ?? ""),
        /^\[DATALAD SCHEDULE\] Submitted batch job \d+: Pending$/,
      );
      const since = await complete(["datalad-slurm", "reschedule", "--since", ""]);
      assert.deepEqual(since.map(({ word }) => word).sort(), [...commits].sort());
      assert.equal(since.find(({ word }) => word === commits[2])?.what, "Data: with a colon");

      // bash falls back to files by itself, where nothing is offered.
      assert.deepEqual(await offered("log", "data"), shell === "bash" ? [] : ["data of mine"]);

      assert.deepEqual(await offered("schedule", "-o", "x", "sbatc"), ["sbatch"]);
      // What stands behind the job's command is no option of ours.
      assert(
        !(await offered("schedule", "-o", "x", "sbatch", "--")).includes("--wait-for-outputs"),
      );
    },
    [`${shell} completes jobs of the dataset that is named`]: async () => {
      const { dataset, jobs } = await makeDataset();
      await using _ = dataset;
      const elsewhere = dataset.at(dataset.scratch.directory);
      Object.assign(elsewhere.env, dataset.env);
      const complete = await start(elsewhere);
      const offers = await complete(["datalad-slurm", "finish", "-d", "ds", ""]);
      for (const job of jobs) assert(offers.some(({ word }) => word === job), job);
      assert.deepEqual(await complete(["datalad-slurm", "finish", "-d", "nowhere", ""]), []);
    },
  });
}

concurrently(false, {
  "open jobs for a completion: no question to Slurm, nothing written, the lock not waited for":
    async () => {
      const { dataset, jobs } = await makeDataset();
      await using _ = dataset;
      const store = `${dataset.root}/.git/datalad-slurm`;
      const listing = () => dataset.run(["find", store, "-printf", "%p %T@\n"]);
      // Somebody has the lock.
      await Deno.mkdir(`${store}/lock/L/node1-1-0123456789abcdef~working`, { recursive: true });
      const before = (await listing()).stdout;
      // git alone is on PATH.
      const bin = `${dataset.scratch.directory}/only-git`;
      await Deno.mkdir(bin);
      const git = (await dataset.run(["which", "git"])).stdout.trim();
      await Deno.symlink(git, `${bin}/git`);
      const ask = async () =>
        (await dataset.tool(["complete", "jobs"], { env: { PATH: bin, SLURM_CONF: "/none" } }))
          .stdout;
      const expected = `${jobs[1]}\tsbatch -H --job-name=x:y write.sh b\n${
        jobs[0]
      }\tsbatch -H write.sh a\n`;
      assert.equal(await ask(), expected);
      assert.equal((await listing()).stdout, before);
      // Without the cache history is read, as far as a moment allows.
      await Deno.remove(`${store}/open-jobs`, { recursive: true });
      await until("history is read", async () => await ask() === expected);
      await Deno.remove(`${store}/lock/L`, { recursive: true });
    },
  "outside a dataset nothing is completed and nothing said": async () => {
    await using dataset = await TestDataset.make();
    const ran = await dataset.at(dataset.scratch.directory).tool(["complete", "jobs"]);
    assert.deepEqual(ran, { code: 0, stdout: "", stderr: "" });
  },
});
