import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const schemaCommand: Command = {
  name: "schema",
  aliases: [],
  summary: "Print the JSON Schema of what --json prints",
  usage: "",
  description: [
    "Every command prints one JSON object a line with --json. This is what the objects may hold, " +
    "and what their fields mean. Within a version of the schema fields are only added.",
  ],
  examples: [["datalad-slurm schema > output.schema.json", "keep it for a validator"]],
  operands: "none",
  options: [],
  async run(_words, terminal) {
    // Not on the path of other commands.
    const { default: schema } = await import("./json/output.schema.json", {
      with: { type: "json" },
    });
    terminal.result(JSON.stringify(schema, null, 2));
    return EXIT.done;
  },
};
