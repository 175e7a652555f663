/** A small program for the tests of the launcher: tells what it was given, or does as it is told. */
import { buildInfo } from "../../lib/executable/build_info.ts";
import { cleanEnvironment } from "../../lib/executable/environment.ts";
import { endingOf, ownIdentity } from "../../lib/store/lock_identity.ts";

const invocation = cleanEnvironment();
const [command, argument] = Deno.args;

switch (command) {
  case "exit":
    Deno.exitCode = Number(argument);
    break;
  case "throw":
    throwError();
    break;
  case "stdin":
    await Deno.stdin.readable.pipeTo(Deno.stdout.writable);
    break;
  case "wait": {
    const ended = new Promise<void>((resolve) => {
      Deno.addSignalListener("SIGTERM", () => {
        console.log("SIGTERM");
        resolve();
      });
    });
    console.log(Deno.pid);
    const alive = setInterval(() => {}, 60_000);
    await ended;
    clearInterval(alive);
    Deno.exitCode = 9;
    break;
  }
  case "ending":
    console.log(endingOf(JSON.parse(argument ?? ""), ownIdentity()));
    break;
  default:
    console.log(JSON.stringify({
      args: Deno.args,
      build: buildInfo,
      cwd: Deno.cwd(),
      env: Deno.env.toObject(),
      invocation,
    }));
}

function throwError(): void {
  throw new Error("Thrown by the probe");
}
