import assert from "node:assert/strict";
import { concurrently } from "../support/concurrently.ts";
import { noRealSlurm } from "../support/real_slurm.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import { Bench, type Side, startSide, stopSide } from "./bench.ts";

/** What a real Slurm (22.05) shows; `CONFORMANCE=record` writes it down anew. */
const file = new URL("../../fixtures/conformance.json", import.meta.url);
const recorded: Record<string, string[]> = JSON.parse(Deno.readTextFileSync(file));
const isRecording = Deno.env.get("CONFORMANCE") === "record";

const sides: readonly Side[] = [
  ...(noRealSlurm ? [] : ["Slurm" as const]),
  ...(isRecording ? [] : ["stand-in" as const]),
];
Deno.test.beforeAll(async () => {
  await Promise.all(sides.map(startSide));
});
Deno.test.afterAll(async () => {
  await Promise.all(sides.map(stopSide));
  if (isRecording) {
    await Deno.writeTextFile(file, `${JSON.stringify(recorded, null, 1)}\n`);
  }
});

/** What the stand-in was not yet seen to do as Slurm does. */
const OPEN: ReadonlySet<string> = new Set([
  "sbatch takes and refuses command lines, with its exit codes",
  "array specifications are read alike",
  "tasks of an array are cancelled, held and released one by one",
  "a job ends with its script's exit code or signal",
  "jobs run in their directory, with their input, umask and arguments",
  "held jobs are released, pending and running ones cancelled",
  "a signal for the batch script reaches it alone",
  "a job submits jobs",
  "who asks for what is not there is told so",
  "this tool reads the same out of all three programs",
]);

for (const side of ["Slurm", "stand-in"] as const) {
  concurrently(
    !sides.includes(side),
    Object.fromEntries(
      Object.entries(BEHAVIOURS).filter(([name]) => side === "Slurm" || !OPEN.has(name)).map((
        [name, behave],
      ) => [`${side}: ${name}`, async () => {
        await using bench = await Bench.make(side);
        const seen = await behave(bench);
        if (isRecording && side === "Slurm") recorded[name] = seen;
        else assert.deepEqual(seen, recorded[name]);
      }]),
    ),
  );
}
