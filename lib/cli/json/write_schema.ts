/** Writes `output.schema.json` beside this file: `make schema`. */
import { outputSchema } from "./records.ts";

Deno.writeTextFileSync(new URL("output.schema.json", import.meta.url), outputSchema());
