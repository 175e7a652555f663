/** What the tool prints, held to golden files; `make golden` writes them anew. */
import assert from "node:assert/strict";
import { assertGolden, GoldenDataset, type GoldenJob, type View } from "../support/golden.ts";
import { noPseudoTerminal } from "../support/pseudo_terminal.ts";

const HOUR = 3600;

const jobs: readonly GoldenJob[] = [
  { id: "9163380", state: "COMPLETED", ago: 2.2 * HOUR, outputs: ["results"] },
  {
    id: "9163381",
    state: "RUNNING",
    ago: 185,
    outputs: ["out/alpha.csv", "out/beta.csv", "out/gamma.csv", "out/delta.csv", "out/epsilon.csv"],
  },
  { id: "9163382", state: "PENDING", reason: "Resources", ago: 5.5 * HOUR, outputs: ["mean.csv"] },
  { id: "9163383", state: "FAILED", exit: "3:0", ago: 77 * HOUR, outputs: ["測定/結果.csv"] },
  { id: "9163384", state: "TIMEOUT", ago: 30.5 * HOUR, outputs: ["Größe/Gro\u0308ße.csv"] },
  { id: "9163385", ago: 0, outputs: ["elsewhere"] },
];

const at = (columns: number, rows?: number): View => ({
  terminal: { columns, ...(rows === undefined ? {} : { rows }) },
});

/** Shows a command in several views, one below the other. */
async function views(
  dataset: GoldenDataset,
  args: readonly string[],
  list: readonly View[],
): Promise<string> {
  const shown: string[] = [];
  for (const view of list) shown.push(await dataset.show(args, view));
  return shown.join("\n");
}

Deno.test({
  name: "status: in a pipe and on terminals, wide and narrow, in colour and without",
  ignore: noPseudoTerminal,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs);
    await assertGolden(
      "status",
      await views(dataset, ["status"], [
        {},
        at(100),
        at(64),
        at(40),
        { ...at(100), env: { NO_COLOR: "1" } },
        { ...at(100), env: { TERM: "dumb" } },
      ]) + "\n" + await views(dataset, ["status", "--color=always"], [{}]) + "\n" +
        await views(dataset, ["status", "--color=never"], [at(100)]),
    );
  },
});

Deno.test({
  name: "log: in a pipe and on terminals, wide and narrow",
  ignore: noPseudoTerminal,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs);
    const plain = (columns: number) => ({ ...at(columns), env: { NO_COLOR: "1" } });
    await assertGolden(
      "log",
      await views(dataset, ["log"], [{}, plain(100), plain(64), plain(40)]),
    );
  },
});

Deno.test({
  name: "a log that is longer than the screen goes through git's pager, page by page",
  ignore: noPseudoTerminal,
  async fn() {
    const many = Array.from({ length: 3_000 }, (_, index): GoldenJob => ({
      id: String(9163380 + index),
      state: "RUNNING",
      ago: HOUR,
      outputs: [`out/${index}.csv`],
    }));
    await using dataset = await GoldenDataset.make(many);
    const show = (pager: string) => dataset.show(["log"], { ...at(80), env: { GIT_PAGER: pager } });
    assert.match(await show("wc -l"), /^ *3001$/m);
    // Whoever leaves it has seen enough; one that is not there leaves the terminal.
    assert.equal((await show("head -n 1 >/dev/null")).split("\n").length, 2);
    assert.equal((await show("nosuchpager")).match(/ sbatch job\.sh$/gm)?.length, 3_000);
    assert.doesNotMatch(await dataset.show(["log", "-n", "20"], at(80)), /wc/);
  },
});

Deno.test({
  name: "colours follow git's own setting, and the option stands above it",
  ignore: noPseudoTerminal,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs);
    const hasColours = async (setting: string, ...options: string[]) => {
      const [key = "", value = ""] = setting.split("=");
      const env = { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: key, GIT_CONFIG_VALUE_0: value };
      return (await dataset.show(["status", ...options], { ...at(100), env })).includes("\\e[");
    };
    const settings = ["never", "false", "auto", "always"];
    assert.deepEqual(
      await Promise.all(settings.map((value) => hasColours(`color.ui=${value}`))),
      [false, false, true, true],
    );
    assert.equal(await hasColours("color.datalad-slurm=never"), false);
    assert.equal(await hasColours("color.ui=never", "--color=always"), true);
  },
});

Deno.test({
  name: "status of many jobs: counted by state on a terminal, whole in a pager or a pipe",
  ignore: noPseudoTerminal,
  async fn() {
    const states = ["COMPLETED", "COMPLETED", "COMPLETED", "RUNNING", "PENDING"];
    const many = Array.from({ length: 2_000 }, (_, index): GoldenJob => ({
      id: String(9163380 + index),
      state: index % 200 === 7 ? "FAILED" : states[index % states.length] ?? "",
      reason: index % 2 === 0 ? "Priority" : "Resources",
      ago: 2.2 * HOUR,
      outputs: [`out/${index}.csv`],
    }));
    await using dataset = await GoldenDataset.make(many);
    const pager = { GIT_PAGER: "sed -n '1,3p;$p'" };
    const [header = "", first = "", ...others] = (await dataset.show(["status"])).split("\n")
      .slice(1, -1);
    await assertGolden(
      "status-many",
      [
        await dataset.show(["status"], at(80)),
        await dataset.show(["status"], { ...at(80), env: { NO_COLOR: "1" } }),
        await dataset.show(["status", "--all"], { ...at(80), env: pager }),
        "$ datalad-slurm status    # a pipe, shortened",
        header,
        first,
        `# and ${others.length} lines more`,
        "",
      ].join("\n"),
    );
  },
});

Deno.test({
  name:
    "finish of more jobs than the screen has lines counts them, and names first and last commit",
  ignore: noPseudoTerminal,
  async fn() {
    const outputs = ["one", "two", "three"];
    await using dataset = await GoldenDataset.make(
      outputs.map((output, index) => ({
        id: String(9163380 + index),
        state: "COMPLETED",
        ago: 0,
        outputs: [output],
      })),
    );
    await dataset.write(Object.fromEntries(outputs.map((output) => [output, "result\n"])));
    const shown = await dataset.show(["finish"], at(80, 3));
    assert.match(shown, /^3 jobs committed, from a{10} to b{10}$/m);
  },
});

Deno.test("a job's life in a pipe, and what --quiet makes of it", async () => {
  await using dataset = await GoldenDataset.make();
  const job = { id: "9163390", outputs: ["out", "never"], ago: 0 };
  const declared = ["-o", "out", "-o", "never"];
  const shown = [
    await dataset.show(["status"]),
    await dataset.show(["schedule", "--dry-run", "-o", "out", "sbatch", "job.sh", "{outputs}"]),
    await dataset.show(["schedule", ...declared, "sbatch", "job.sh"]),
    await dataset.show(["finish"]),
  ];
  dataset.answer([{ ...job, state: "PENDING", reason: "Dependency" }]);
  shown.push(await dataset.show(["finish"]));
  dataset.answer([{ ...job, state: "FAILED", exit: "3:0" }]);
  shown.push(
    await dataset.show(["finish"]),
    await dataset.show(["finish", "--quiet"]),
    await dataset.show(["reschedule", "HEAD"]),
  );
  dataset.answer([{ ...job, state: "COMPLETED" }]);
  await dataset.write({ out: "result\n", "slurm-9163390.out": "log\n" });
  shown.push(
    await dataset.show(["finish"]),
    await dataset.show(["finish"]),
    await dataset.show(["reschedule", "--report", "HEAD"]),
    await dataset.show(["reschedule", "HEAD"]),
    await dataset.show(["recover"]),
    await dataset.show(["unlock"]),
    await dataset.show(["status", "--quiet", "none"]),
  );
  await assertGolden("life", shown.join("\n"));
});

Deno.test({
  name: "errors say what is wrong and what to do, in colour and as objects",
  ignore: noPseudoTerminal,
  async fn() {
    await using dataset = await GoldenDataset.make(jobs.slice(0, 1));
    const wrong = [
      ["stats"],
      ["status", "--jsno"],
      ["schedule", "-o", "../out", "sbatch", "job.sh"],
      ["schedule", "-o", "results/more", "sbatch", "job.sh"],
      ["status", "-d", "/"],
      ["reschedule", "HEAD"],
      ["finish", "1234"],
    ];
    const shown: string[] = [];
    for (const args of wrong) shown.push(await dataset.show(args));
    shown.push(await dataset.show(["schedule", "-o", "../out", "sbatch", "job.sh"], at(80)));
    shown.push(await dataset.show(["schedule", "--json", "-o", "../out", "sbatch", "job.sh"]));
    await assertGolden("errors", shown.join("\n"));
  },
});
