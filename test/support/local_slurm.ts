import { PROGRAMS } from "../../lib/slurm/local/place.ts";
import { linkTool } from "./tool.ts";

/** A stand-in for Slurm in a temporary directory of its own. */
export interface LocalSlurm {
  /** What programs need in their environment to talk to it. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends what is left of it and removes its files. */
  release(): Promise<void>;
}

/** So many jobs of the tests run at a time: they wait more than they work. */
const PLACES = "16";

/** Makes a stand-in ready, with Slurm's programs on a PATH by links to the tool. */
export async function startLocalSlurm(): Promise<LocalSlurm> {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "local-slurm-" }));
  const links = `${directory}/links`;
  await Deno.mkdir(links);
  for (const program of PROGRAMS) await linkTool(`${links}/${program}`);
  const state = `${directory}/state`;
  return {
    env: {
      DATALAD_SLURM: "local",
      DATALAD_SLURM_LOCAL_DIR: state,
      DATALAD_SLURM_LOCAL_JOBS: PLACES,
      PATH: `${links}:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}`,
    },
    async release() {
      await endJobs(links, state);
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Cancels what still runs, and waits for the runner's end. */
async function endJobs(links: string, state: string): Promise<void> {
  const cancel = new Deno.Command(`${links}/scancel`, {
    args: ["--me"],
    env: { DATALAD_SLURM_LOCAL_DIR: state },
    stdout: "null",
    stderr: "null",
  });
  await cancel.output();
  for (let tries = 0; tries < 200; tries++) {
    try {
      using runner = Deno.openSync(`${state}/runner`, { write: true });
      if (runner.tryLockSync(true)) return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`The runner of ${state} does not end`);
}
