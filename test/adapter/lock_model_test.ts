import assert from "node:assert/strict";

const MODEL = new URL("../../fixtures/model/lock.pml", import.meta.url).pathname;
const LONG = Number(Deno.env.get("DATALAD_SLURM_STRESS") ?? "1") > 1;

const TOOLS = ["spin", "cc"].every((tool) =>
  (Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${tool}`).isFile;
    } catch {
      return false;
    }
  })
);
if (!TOOLS) console.log("The model of the lock is not checked: spin and cc are not both on PATH");

interface Outcome {
  readonly errors: number;
  readonly states: number;
  readonly said: string;
}

/** Checks the model with these macros defined; states are sampled at random when `search` says. */
async function check(
  macros: readonly string[],
  search: { readonly compile: readonly string[]; readonly run: readonly string[] } = {
    compile: ["-DCOLLAPSE"],
    run: [],
  },
): Promise<Outcome> {
  const cwd = Deno.makeTempDirSync({ prefix: "lock-model-" });
  try {
    await output(cwd, ["spin", "-a", ...macros.map((macro) => `-D${macro}`), MODEL]);
    const compiler = ["cc", "-O1", "-w", "-DSAFETY", "-DMEMLIM=6000", ...search.compile];
    await output(cwd, [...compiler, "-o", "pan", "pan.c"]);
    const said = await output(cwd, [`${cwd}/pan`, "-n", "-m100000", ...search.run]);
    return {
      errors: Number(/errors: (\d+)/.exec(said)?.[1]),
      states: Number(/(\d+) states, stored/.exec(said)?.[1]),
      said,
    };
  } finally {
    Deno.removeSync(cwd, { recursive: true });
  }
}

async function output(cwd: string, [program = "", ...args]: readonly string[]): Promise<string> {
  const result = await new Deno.Command(program, { args, cwd, stderr: "inherit" }).output();
  return new TextDecoder().decode(result.stdout);
}

const sound = [
  ["PROCESSES=2", "ROUNDS=2", "KILLS=2", "SILENCES=2"],
  ["PROCESSES=3", "ROUNDS=1", "KILLS=1", "SILENCES=0"],
  ...(LONG ? [["PROCESSES=3", "ROUNDS=1", "KILLS=1", "SILENCES=1"]] : []),
];

for (const macros of sound) {
  Deno.test({
    name: `the model of the lock has no error with ${macros.join(" ")}`,
    ignore: !TOOLS,
    fn: async () => {
      const { errors, states, said } = await check(macros);
      assert.equal(errors, 0, said);
      assert.doesNotMatch(said, /Search not completed|max search depth too small/);
      console.log(`    ${states} states`);
      assert.ok(states > 100_000);
    },
  });
}

const mistakes = ["NAIVE", "NOFENCE", "LATEREAD", "BREAKFIRST", "REREAD", "FIXEDNAME"];

for (const mistake of mistakes) {
  Deno.test({
    name: `the model finds the mistake ${mistake}`,
    ignore: !TOOLS,
    fn: async () => {
      const { errors, said } = await check([mistake, `PROCESSES=${mistake === "NAIVE" ? 3 : 2}`]);
      assert.equal(errors, 1, said);
      assert.match(said, /assertion violated/);
    },
  });
}

Deno.test({
  name: "the model finds the mistake SAMEVALUE",
  ignore: !TOOLS || !LONG,
  fn: async () => {
    const { errors, said } = await check(["SAMEVALUE", "ROUNDS=1", "KILLS=0", "SILENCES=3"], {
      compile: ["-DBITSTATE", "-DRANDOMIZE", "-DT_RAND", "-DP_RAND"],
      run: ["-w27", "-RS1"],
    });
    assert.equal(errors, 1, said);
  },
});
