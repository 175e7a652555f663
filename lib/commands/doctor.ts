import { checkDataset, checkLeftovers, findDataset } from "./check_dataset.ts";
import { checkFileSystem, checkSpace } from "./check_files.ts";
import { checkAnnex, checkGit, checkSlurm } from "./check_programs.ts";
import { asToolError } from "../errors.ts";
import { chosenSlurm } from "../slurm/local/choice.ts";
import { checkStandIn } from "./check_stand_in.ts";
import { type Check, ok, problem, warning } from "./checks.ts";

/** What is to be looked at. */
export interface DoctorOptions {
  /** A dataset, or a directory in it. */
  readonly dataset?: string | undefined;
  /** On how many nodes of the cluster the lock is tried; on this machine alone when undefined. */
  readonly nodes?: number | undefined;
  /** Where the executable has unpacked itself; undefined for one that does not. */
  readonly cache: string | undefined;
}

/**
 * Looks at everything that commands need, and yields what it found, one thing after the other. The
 * dataset is that of the current directory, where there is one. Nothing is changed, and the lock is
 * not taken.
 */
export async function* doctor(options: DoctorOptions): AsyncGenerator<Check> {
  const git = await checkGit();
  yield git;
  // Without git nothing can be said of a dataset.
  const { dataset, checks } = git.verdict === "ok"
    ? await findDataset(options.dataset)
    : { dataset: undefined, checks: [] };
  yield await checkAnnex(dataset?.hasAnnex === true);
  yield* await attempt(
    "Slurm's programs",
    () => chosenSlurm(dataset?.settings.slurm) === "local" ? checkStandIn() : checkSlurm(),
  );
  yield checkLocale();
  const { cache } = options;
  yield* cache === undefined
    ? [ok("executable", "It needs no directory to unpack itself into")]
    : await attempt("executable", () => checkSpace("executable", "It has unpacked itself", cache));
  yield* checks;
  if (dataset === undefined) return;
  yield* await attempt("dataset", () => checkDataset(dataset));
  const files = await checkFileSystem(dataset.store.base, dataset.hasAnnex, options.nodes);
  yield* files;
  // Where nothing can be written perhaps nothing can be read either.
  if (files.every(({ verdict }) => verdict !== "problem")) yield* checkLeftovers(dataset);
  yield* await attempt("space", () => checkSpace("space", "The dataset is", dataset.root));
}

/** Looks at something; that it cannot be looked at is a problem like others, and no end. */
async function attempt(name: string, look: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await look();
  } catch (thrown) {
    const error = asToolError(thrown);
    if (error === undefined) throw thrown;
    const hint = error.hint ?? "This could not be looked at; what follows was";
    return [problem(name, error.message, hint)];
  }
}

/** The variable that decides is the first of these that is set. */
function checkLocale(): Check {
  const name = "locale";
  const value = ["LC_ALL", "LC_CTYPE", "LANG"].map((variable) => Deno.env.get(variable))
    .find((set) => set !== undefined && set !== "") ?? "C";
  return /utf-?8/i.test(value) ? ok(name, `The locale is ${value}`) : warning(
    name,
    `The locale ${JSON.stringify(value)} has no UTF-8: programs may spell file names in other ways`,
    "Set LC_ALL=C.UTF-8, or another locale of `locale -a` with UTF-8",
  );
}
