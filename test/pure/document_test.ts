import assert from "node:assert/strict";
import { isAsShown, readSections } from "../support/document.ts";

Deno.test("commands, their output and what is not marked are found in a document", () => {
  const sections = readSections([
    "# Title",
    "Text with `$ no block`.",
    "",
    "    $ cat job.sh",
    "    #!/bin/sh",
    "",
    "    date",
    "",
    "    $ datalad-slurm schedule \\",
    "      -o out sbatch job.sh",
    "    Submitted",
    "",
    "## Next",
    "",
    "```console",
    "make build",
    "some text",
    "```",
    "",
    "- item",
    "    $ continued",
  ].join("\n"));
  assert.deepEqual(sections, [
    {
      heading: "Title",
      commands: [
        { command: "cat job.sh", output: ["#!/bin/sh", "", "date"], line: 4 },
        {
          command: "datalad-slurm schedule \\\n  -o out sbatch job.sh",
          output: ["Submitted"],
          line: 9,
        },
      ],
      unmarked: [],
    },
    { heading: "Next", commands: [], unmarked: [{ text: "make build", line: 16 }] },
  ]);
});

Deno.test("output is compared without ids and times, and no further", () => {
  const same: [string[], string[]][] = [
    [["Submitted batch job 9163380"], ["Submitted batch job 7"]],
    [["Recorded in commit 4c021f4d96"], ["Recorded in commit abcdef1"]],
    [["4c021f4d96  9163380  Running  2026-05-04 10:31  out"], [
      "1c021f4d96  1  Pending (Resources)  2027-01-01 00:00  out",
    ]],
    [["a", "…", "z"], ["a", "z"]],
    [["a", "…", "z"], ["a", "b", "c", "z"]],
    [['{"x": …}'], ['{"x": "y"}']],
    [[" out.txt | 4 ++++"], [" out.txt | 12 +++++++++"]],
  ];
  for (const [shown, real] of same) assert(isAsShown(shown, real), shown.join("\n"));
  const different: [string[], string[]][] = [
    [["Submitted batch job 9163380"], ["Submitted batch job"]],
    [["Submitted batch job 9163380"], ["Submitted batch job 1", "more"]],
    [["a  Running"], ["a  Complete"]],
    [["a", "…", "z"], ["a", "b"]],
    [["a.b"], ["axb"]],
  ];
  for (const [shown, real] of different) assert(!isAsShown(shown, real), shown.join("\n"));
});
