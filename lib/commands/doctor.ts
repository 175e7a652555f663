import { checkDataset, checkLeftovers, findDataset } from "./check_dataset.ts";
import { checkFileSystem, checkSpace } from "./check_files.ts";
import { checkAnnex, checkGit, checkSlurm } from "./check_programs.ts";
import { type Check, ok, warning } from "./checks.ts";

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
  yield* await checkSlurm();
  yield checkLocale();
  yield options.cache === undefined
    ? ok("executable", "It unpacks nothing")
    : await checkSpace("executable", options.cache);
  yield* checks;
  if (dataset === undefined) return;
  yield* await checkDataset(dataset);
  const files = await checkFileSystem(dataset.store.base, dataset.hasAnnex, options.nodes);
  yield* files;
  // Where nothing can be written perhaps nothing can be read either.
  if (files.every(({ verdict }) => verdict !== "problem")) yield* checkLeftovers(dataset);
  yield await checkSpace("space", dataset.root);
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
