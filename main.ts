import { runCommandLine } from "./lib/cli/run.ts";
import { cleanEnvironment } from "./lib/executable/environment.ts";

Deno.exit(await runCommandLine(Deno.args, cleanEnvironment()));
