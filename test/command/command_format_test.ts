import assert from "node:assert/strict";
import { makeScratch, output, removeScratch, type Scratch } from "../support/scratch.ts";
import { runTool } from "../support/tool.ts";

/** One command line, and what DataLad makes of it. */
interface Case {
  /** The directory that it is called in, relative to the dataset's root. */
  readonly in: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly words: readonly string[];
  readonly datalad: Answer;
}

/** `@ROOT@` stands for the dataset, `@TMPDIR@` for a new directory. */
type Answer = { readonly command: string } | { readonly refused: string };

const table: {
  readonly files: readonly string[];
  readonly datasetConfig: string;
  readonly gitConfig: Readonly<Record<string, string>>;
  readonly cases: readonly Case[];
} = JSON.parse(
  await Deno.readTextFile(new URL("../../fixtures/commands/datalad_run.json", import.meta.url)),
);

/**
 * Where the tool means to differ, by inputs, outputs and words: what it answers, or `refused`. The
 * reasons stand beside them.
 */
const DIFFERENCES: readonly (readonly [string, string, string])[] = [
  // One quoted word is a command line for the shell with `--` before it, too: nobody means a
  // program whose name holds spaces.
  ["out", "-- | sbatch job.sh", "sbatch job.sh"],
  // Python's format specifications and conversions know nothing of the shell's quoting.
  ["a.txt b.txt > out", "sbatch | {inputs:>10}", "refused"],
  ["a.txt > out", "sbatch | {inputs!r}", "refused"],
  ["out", "sbatch | {pwd!r}", "refused"],
  // Braces in paths are no placeholders: names may hold them.
  ["{{braces}}.txt > out", "sbatch {inputs}", "sbatch '{{braces}}.txt'"],
  ["{braces}.txt > out", "sbatch {inputs}", "sbatch '{braces}.txt'"],
  ["out/{only}", "sbatch {outputs}", "sbatch 'out/{only}'"],
  ["{both}.csv {mine}", "sbatch {outputs}", "sbatch '{both}.csv' '{mine}'"],
  // `sub/**` is all that is in `sub`; and a glob without a match stays, directories do not stand
  // in for it.
  [
    "sub/** > out",
    "sbatch {inputs}",
    "sbatch sub/deep sub/deep/er sub/deep/er/z.csv sub/deep/x.csv sub/deep/y.csv sub/in.txt",
  ],
  ["sub/*/*.nothing > out", "sbatch {inputs}", "sbatch 'sub/*/*.nothing'"],
  // Paths are recorded, and shown, in one form.
  ["./a.txt > out", "sbatch {inputs}", "sbatch a.txt"],
  ["sub/ > out", "sbatch {inputs}", "sbatch sub"],
  ["./out", "sbatch {outputs}", "sbatch out"],
  ["out/", "sbatch {outputs}", "sbatch out"],
];

function difference({ inputs, outputs, words }: Case): string | undefined {
  const paths = [...inputs, ...(inputs.length === 0 ? [] : [">"]), ...outputs].join(" ");
  return DIFFERENCES.find(([where, what]) => where === paths && what === words.join(" | "))?.[2];
}

/** Makes the dataset in which DataLad was asked. */
async function makeDataset({ directory, env }: Scratch): Promise<string> {
  const root = `${directory}/ds`;
  await Deno.mkdir(root);
  const git = (...args: string[]) => output(["git", ...args], { cwd: root, env });
  await git("init", "-q");
  for (const name of [...table.files, ".datalad/config"]) {
    const path = `${root}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, name === ".datalad/config" ? table.datasetConfig : name);
  }
  for (const [key, value] of Object.entries(table.gitConfig)) await git("config", key, value);
  await git("add", ".");
  await git("commit", "-qm", "Files");
  return root;
}

/** Asks a program what it would run. */
async function ask(
  run: (args: readonly string[], cwd: string) => Promise<{ code: number; stdout: string }>,
  root: string,
  one: Case,
): Promise<string> {
  const paths = [
    ...one.inputs.flatMap((path) => ["-i", path]),
    ...one.outputs.flatMap((path) => ["-o", path]),
  ];
  const { code, stdout } = await run(
    ["--dry-run=command", ...paths, ...one.words],
    one.in === "." ? root : `${root}/${one.in}`,
  );
  if (code !== 0) return "refused";
  return stdout.replace(/\n$/, "").replaceAll(root, "@ROOT@")
    .replace(/\/[^ ]*\/datalad-run-\w+/g, "@TMPDIR@");
}

Deno.test("schedule fills in and quotes a command line as datalad run does", async () => {
  const scratch = await makeScratch();
  try {
    const root = await makeDataset(scratch);
    // Under another name: what sbatch is given has to be there.
    const tool = async (args: readonly string[], cwd: string) => {
      const renamed = args.map((word) => word.replace(/\bsbatch\b/, "submit"));
      // Inputs are told from paths, whether they are there or not.
      const asked = ["schedule", "--assume-ready=inputs", ...renamed];
      const ran = await runTool(asked, { cwd, env: scratch.env });
      return { ...ran, stdout: ran.stdout.replace(/\bsubmit\b/, "sbatch") };
    };
    assert.ok(table.cases.length >= 60);
    const answers: string[] = [];
    for (let at = 0; at < table.cases.length; at += 4) {
      const some = table.cases.slice(at, at + 4);
      answers.push(...await Promise.all(some.map((one) => ask(tool, root, one))));
    }
    const used = new Set<string>();
    const expected = table.cases.map((one) => {
      const own = difference(one);
      if (own !== undefined) used.add(JSON.stringify(one));
      return own ?? ("command" in one.datalad ? one.datalad.command : "refused");
    });
    const shown = (answer: readonly string[]) =>
      table.cases.map(({ datalad: _, ...one }, at) => ({ ...one, answer: answer[at] }));
    assert.deepEqual(shown(answers), shown(expected));
    assert.equal(used.size, DIFFERENCES.length, "Each difference is one of the table's");
    assert.equal(
      (await output(["git", "status", "--porcelain"], { cwd: root, env: scratch.env })) +
        (await output(["git", "rev-list", "--count", "HEAD"], { cwd: root, env: scratch.env })),
      "1\n",
      "A dry run changes nothing",
    );
  } finally {
    await removeScratch(scratch);
  }
});

/** Looks for a program the way a shell does. */
function isOnPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

Deno.test({
  name: "the recorded answers are those of the DataLad that is installed",
  ignore: !isOnPath("datalad"),
  async fn() {
    const scratch = await makeScratch();
    try {
      const root = await makeDataset(scratch);
      const env = { ...scratch.env, DATALAD_LOG_LEVEL: "error" };
      const datalad = async (args: readonly string[], cwd: string) => {
        const [program = "", ...rest] = ["datalad", "run", ...args];
        const { code, stdout } = await new Deno.Command(program, {
          args: rest,
          cwd,
          clearEnv: true,
          env,
          stdin: "null",
        }).output();
        return { code, stdout: new TextDecoder().decode(stdout) };
      };
      // A few that cover quoting, globs, substitutions, other directories and refusals.
      const some = table.cases.filter((_, at) => at % 21 === 3);
      for (const one of some) {
        const expected = "command" in one.datalad ? one.datalad.command : "refused";
        assert.equal(await ask(datalad, root, one), expected, JSON.stringify(one.words));
      }
    } finally {
      await removeScratch(scratch);
    }
  },
});
