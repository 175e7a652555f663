import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { TestDataset } from "../support/dataset.ts";
import { readOutput } from "../support/output_records.ts";
import { noRealSlurm, useCluster } from "../support/real_slurm.ts";

useCluster();

/** What `doctor --json` found, by the name of the check. */
type Found = Map<string, { verdict: string; message: string; hint?: string | undefined }>;

async function examine(
  dataset: TestDataset,
  code: number,
  env: Record<string, string> = {},
  ...args: string[]
): Promise<Found> {
  const ran = await dataset.tool(["doctor", "--json", ...args], { env });
  assert.equal(ran.code, code, ran.stdout + ran.stderr);
  return new Map(
    readOutput(ran.stdout).map(({ record }) => {
      assert(record.action === "doctor" && "check" in record);
      return [record.check, record];
    }),
  );
}

/** What is not well: the verdict, the message, and what to do. */
type Trouble = readonly ["warning" | "problem", RegExp, RegExp];

/** Asserts that these things are not well and say what to do, and that all others are well. */
function expect(found: Found, troubles: Readonly<Record<string, Trouble>>): void {
  const all = JSON.stringify([...found.values()], null, 1);
  for (const [name, [verdict, message, hint]] of Object.entries(troubles)) {
    const check = found.get(name);
    assert.equal(check?.verdict, verdict, `${name}: ${all}`);
    assert.match(check?.message ?? "", message);
    assert.match(check?.hint ?? "", hint);
  }
  const others = [...found].filter(([name, { verdict }]) =>
    !(name in troubles) && verdict !== "ok"
  );
  assert.deepEqual(others, [], all);
}

/** Returns a PATH on which nothing is but the named programs. */
async function pathOf(dataset: TestDataset, ...programs: string[]): Promise<string> {
  const bin = await Deno.makeTempDir({ dir: dataset.scratch.directory });
  for (const program of programs) {
    const path = (await dataset.run(["which", program])).stdout.trim();
    await Deno.symlink(path, `${bin}/${program}`);
  }
  return bin;
}

concurrently(false, {
  "a check whose program is not there is a problem, and the others are made": async () => {
    await using dataset = await TestDataset.make();
    const found = await examine(dataset, 1, { PATH: await pathOf(dataset, "git") });
    assert.equal(found.get("space")?.verdict, "problem");
    assert.match(found.get("space")?.message ?? "", /"df" is not on PATH/);
    assert.equal(found.get("journal")?.verdict, "ok");
  },
  "where the stand-in is chosen it is looked at, and Slurm is not": async () => {
    await using dataset = await TestDataset.make();
    const folder = `${dataset.scratch.directory}/stand-in`;
    const env = { PATH: await pathOf(dataset, "git", "df"), DATALAD_SLURM_LOCAL_DIR: folder };
    const found = await examine(dataset, 0, env, "--slurm=local");
    assert.match(found.get("Slurm's programs")?.message ?? "", /^Not looked at/);
    assert.equal(found.has("slurmctld"), false);
    assert.match(found.get("stand-in's programs")?.message ?? "", /^sbatch answers: slurm /);
    assert.match(found.get("logout")?.message ?? "", /log out/);
    await dataset.git("config", "datalad-slurm.slurm", "local");
    const unusable = { ...env, DATALAD_SLURM: "", DATALAD_SLURM_LOCAL_DIR: "/proc/stand-in" };
    const stuck = (await examine(dataset, 1, unusable)).get("stand-in");
    assert.equal(stuck?.verdict, "problem");
    assert.match(stuck?.message ?? "", /cannot be kept in "\/proc\/stand-in"/);
    assert.match(stuck?.hint ?? "", /DATALAD_SLURM_LOCAL_DIR/);
  },
  "outside a dataset the machine is checked; a dataset that is named has to be there": async () => {
    await using dataset = await TestDataset.make();
    const outside = dataset.at(dataset.scratch.directory);
    const found = await examine(outside, 0);
    assert.match(found.get("dataset")?.message ?? "", /^None here/);
    assert.equal(found.has("identity"), false);
    assert.equal((await examine(outside, 0, {}, "-d", "ds")).get("identity")?.verdict, "ok");
    expect(await examine(outside, 1, {}, "-d", "home"), {
      "dataset": ["problem", /No dataset at/, /name one with -d/],
    });
  },
  "a repository without a commit, of somebody else, or that cannot be written to": async () => {
    await using empty = await TestDataset.make({ empty: true });
    expect(await examine(empty, 1), {
      "dataset": ["problem", /has no commit/, /datalad save/],
    });
    await using dataset = await TestDataset.make();
    await dataset.write(".git/datalad-slurm", "no directory\n");
    expect(await examine(dataset, 1), {
      "file system": ["problem", /Not a directory/, /may write to the repository/],
    });
    // Only root can give a file away.
    if (Deno.uid() !== 0) return;
    await Deno.chown(dataset.root, 65534, 65534);
    await Deno.chown(`${dataset.root}/.git`, 65534, 65534);
    expect(await examine(dataset, 1), {
      "dataset": ["problem", /dubious ownership/, /safe\.directory/],
    });
  },
});

concurrently(noRealSlurm, {
  "all is well in a dataset on a cluster, and nothing is changed by looking": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    const files = () =>
      dataset.run(["find", ".", "-path", "./.git/annex", "-prune", "-o", "-print"]);
    const before = (await files()).stdout;
    const { code, stdout, stderr } = await dataset.tool(["doctor"]);
    assert.equal(code, 0, stdout);
    assert.equal(stderr, "All is well\n");
    for (const line of stdout.trimEnd().split("\n")) assert.match(line, /^ok {7}[A-Za-z' -]+: \S/);
    for (
      const line of [
        /^ok +git: git \d+\.\d+/m,
        /^ok +git-annex: git-annex \d+/m,
        /^ok +Slurm's programs: Slurm \d+/m,
        /^ok +slurmctld: .* answers$/m,
        /^ok +clock: /m,
        /^ok +accounting: sacct answers$/m,
        /^ok +identity: /m,
        /^ok +lock trial: 4 processes held a lock 10 times each, one at a time/m,
      ]
    ) assert.match(stdout, line);
    assert.equal((await files()).stdout.replace("./.git/datalad-slurm\n", ""), before);
  },
  "nodes of the cluster take turns with the lock; nodes that cannot be had are said to be it":
    async () => {
      await using dataset = await TestDataset.make();
      const { stdout, code } = await dataset.tool(["doctor", "--nodes", "2"]);
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^ok +lock trial: 2 nodes held a lock 10 times each, one at a time/m);
      // The real srun, which would wait for a minute.
      const PATH = await dataset.pathWith({
        srun: `for word; do
  shift
  case $word in --immediate=*) word=--immediate=2 ;; esac
  set -- "$@" "$word"
done
exec /usr/bin/srun "$@"`,
      });
      expect(await examine(dataset, 1, { PATH }, "--nodes", "99"), {
        "lock trial": [
          "problem",
          /could not be tried on 99 nodes: srun: error/,
          /srun --nodes=99 hostname/,
        ],
      });
      const wrong = await dataset.tool(["doctor", "--nodes", "two"]);
      assert.match(wrong.stderr, /--nodes takes a number/);
      assert.equal(wrong.code, 2);
    },
  "what one should know is a warning each, and no failure": async () => {
    await using dataset = await TestDataset.make();
    const store = `${dataset.root}/.git/datalad-slurm`;
    await Deno.mkdir(`${store}/lock/L/node1-1-0123456789abcdef~working`, { recursive: true });
    await Deno.mkdir(`${store}/lock/hb.node1-1-0123456789abcdef/1`, { recursive: true });
    await Deno.utime(`${store}/lock/hb.node1-1-0123456789abcdef`, 1e9, 1e9);
    await Deno.mkdir(`${store}/journal/0123456789abcdef`, { recursive: true });
    await dataset.git("switch", "-q", "--detach");
    const PATH = await dataset.pathWith({
      squeue: "echo slurm 23.02.9",
      sacct: `[ "$1" != --version ] || exec /usr/bin/sacct --version
echo 'Slurm accounting storage is disabled' >&2; exit 1`,
    });
    expect(await examine(dataset, 0, { PATH, LC_ALL: "C" }), {
      "Slurm's programs": ["warning", /different versions: .*23\.02\.9/, /type -a/],
      "accounting": ["warning", /disabled on this cluster/, /within 300 s \(MinJobAge\)/],
      "locale": ["warning", /"C"/, /C\.UTF-8/],
      "branch": ["warning", /detached/, /git switch -c/],
      "repository lock": [
        "warning",
        /has shown no life for \d+ s/,
        /unlock --force node1-1-0123456789abcdef/,
      ],
      "journal": ["warning", /^One operation/, /recover --report/],
    });
  },
  "what keeps commands from working is a problem each, and a failure": async () => {
    await using dataset = await TestDataset.make();
    await dataset.git("config", "user.useConfigOnly", "true");
    await dataset.git("switch", "-q", "-c", "adjusted/main(unlocked)");
    await dataset.write(".git/index.lock", "");
    await Deno.utime(`${dataset.root}/.git/index.lock`, 1e9, 1e9);
    const PATH = await dataset.pathWith({
      sacct: `[ "$1" != --version ] || exec /usr/bin/sacct --version
echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1`,
      scontrol: `/usr/bin/scontrol "$@" |
        sed "s/^Configuration data as of .*/Configuration data as of $(($(date +%s) + 3600))/"`,
    });
    expect(await examine(dataset, 1, { PATH, HOME: dataset.scratch.directory }), {
      "accounting": ["problem", /cannot reach slurmdbd/, /Try sacct/],
      "clock": ["problem", /(?:3598|3599|3600) s behind slurmctld's/, /NTP/],
      "identity": ["problem", /does not know who commits/, /git config --global user\.name/],
      "branch": ["problem", /adjusted/, /git checkout main/],
      "index": ["problem", /min old/, /remove ".*index\.lock"/],
    });
  },
  "programs that are not there, or too old": async () => {
    await using dataset = await TestDataset.make({ kind: "annex" });
    expect(await examine(dataset, 1, { PATH: await pathOf(dataset, "git", "df") }), {
      "git-annex": ["problem", /not on PATH.*has an annex/, /Install git-annex/],
      "Slurm's programs": [
        "problem",
        /^Not on PATH: sbatch, squeue, sacct, scontrol, scancel$/,
        /Load Slurm's module/,
      ],
    });
    const PATH = await dataset.pathWith({
      git: "echo git version 2.20.1",
      scontrol: `[ "$1" != --version ] || exec /usr/bin/scontrol --version
echo 'slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)' >&2; exit 1`,
    });
    expect(await examine(dataset, 1, { PATH }), {
      "git": ["problem", /^git 2\.20\.1 is too old$/, /Install git 2\.30/],
      "slurmctld": ["problem", /cannot reach slurmctld/, /scontrol ping/],
    });
  },
  "a Slurm without configuration is one problem, and the stand-in a way to try things":
    async () => {
      await using dataset = await TestDataset.make();
      const said = "Could not establish a configuration source";
      const programs = ["sbatch", "squeue", "sacct", "scontrol", "scancel"];
      const PATH = await dataset.pathWith(Object.fromEntries(programs.map((program) => [
        program,
        `[ $# -gt 0 ] && [ ${program} = sbatch ] && [ "$1" = --version ] && echo slurm 22.05.8 && exit
echo '${program}: fatal: ${said}' >&2; exit 1`,
      ])));
      expect(await examine(dataset, 1, { PATH }), {
        "Slurm's programs": ["problem", /find no configuration of Slurm/, /--slurm local/],
      });
      const args = ["schedule", "-o", "out", "sbatch", "write.sh"];
      const { stderr } = await dataset.tool(args, { env: { PATH } });
      assert.match(stderr, /finds no configuration \(slurm\.conf\)\n[^]*Hint: .*--slurm local/);
      const hanging = await dataset.pathWith({ sbatch: "sleep 30" });
      expect(await examine(dataset, 1, { PATH: hanging }), {
        "Slurm's programs": [
          "problem",
          /sbatch did not answer within 10 s/,
          /^Try sbatch --version/,
        ],
      });
    },
});
