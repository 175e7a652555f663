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

/** Returns the tests of some sides, each behaviour on all of them in a row. */
function testsOn(chosen: readonly Side[]): Record<string, () => Promise<void>> {
  return Object.fromEntries(
    Object.entries(BEHAVIOURS).flatMap(([name, behave]) =>
      chosen.map((side) => [`${side}: ${name}`, async () => {
        await using bench = await Bench.make(side);
        const seen = await behave(bench);
        if (isRecording && side === "Slurm") recorded[name] = seen;
        else assert.deepEqual(seen, recorded[name]);
      }])
    ),
  );
}

concurrently(false, testsOn(sides));
concurrently(
  true,
  testsOn((["Slurm", "stand-in"] as const).filter((side) => !sides.includes(side))),
);
