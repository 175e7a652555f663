import { collectOutputs, requireReadable } from "../dataset/collect.ts";
import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { fixedPrefix } from "../dataset/globs.ts";
import { expandInput } from "../dataset/paths.ts";
import { ToolError } from "../errors.ts";
import { fileOfKey, findAbsent } from "../git/annexed.ts";
import { getContent, type NotGotten } from "../git/get.ts";
import { installSubdataset, readSubdatasetPaths } from "../git/subdatasets.ts";
import { isRepository } from "../files.ts";
import { isWithin, joinPath } from "../paths.ts";
import { pause, throwIfInterrupted } from "../process/interruption.ts";
import { explainFailure } from "../process/explain.ts";
import { ensureAnnex } from "./ensure_annex.ts";
import type { LockPatience } from "./locked.ts";
import type { SubmissionRequest } from "./submission_request.ts";

/**
 * Makes a job's inputs ready: installs the subdatasets that hold them and fetches content that is
 * not here. Throws a {@link ToolError} that names what is missing or cannot be had.
 */
export async function prepareInputs(
  dataset: Dataset,
  inputs: readonly string[],
  jobs: number | undefined,
  patience: LockPatience,
): Promise<void> {
  if (inputs.length === 0) return;
  const { root } = dataset;
  await installSubdatasets(root, ".", inputs.map(fixedPrefix));
  const paths = inputs.flatMap((input) => {
    const found = expandInput(root, input);
    if (found.length > 0) return found;
    throw new ToolError("refused", `No file matches the input ${JSON.stringify(input)}`, {
      hint: "Nothing was submitted; see what is there with: ls",
    });
  });
  const collected = await collectOutputs(root, paths);
  requireReadable(collected);
  const { files, missing } = collected;
  if (missing.length > 0) {
    throw new ToolError("refused", `The input ${JSON.stringify(missing[0])} does not exist`, {
      hint: "Nothing was submitted; --assume-ready inputs skips this check",
      ...(missing.length > 1 ? { details: missing.join("\n") } : {}),
    });
  }
  for (const [repository, inRepository] of files) {
    const base = repository === "." ? root : `${root}/${repository}`;
    const absent = findAbsent(base, inRepository);
    if (absent.length === 0) continue;
    const holder = repository === "." ? dataset : await openDataset(base);
    await ensureAnnex(holder, patience);
    const failed = await fetchContent(holder, absent, jobs, patience);
    const [first] = failed;
    if (first === undefined) continue;
    throw new ToolError(
      "refused",
      `The content of ${failed.length} of the inputs cannot be had, such as ` +
        JSON.stringify(joinPath(repository, first.path)),
      {
        hint: "Nothing was submitted. " + (explainFailure(first.reason)?.hint ??
          "See where the content is with: git annex whereis"),
        details: failed.slice(0, 20).map(({ path, reason }) =>
          `${joinPath(repository, path)}: ${reason}`
        ).join("\n"),
      },
    );
  }
}

/** A transfer by another process is taken for dead after so long without a byte, in milliseconds. */
const STALLED_MS = 60_000;

/** Fetches content and returns what cannot be had; what others are fetching is waited for. */
async function fetchContent(
  { root, repository: { commonDirectory } }: Dataset,
  files: readonly string[],
  jobs: number | undefined,
  patience: LockPatience,
): Promise<NotGotten[]> {
  const failed: NotGotten[] = [];
  let absent = files;
  let arrived: string | undefined;
  let arrivedAt = 0;
  for (let wait = 100;; wait = Math.min(wait * 2, 5000)) {
    const left = await getContent(root, absent, jobs, patience.begin?.("Fetching inputs"));
    const waiting = left.filter(({ busyKey }) => busyKey !== undefined);
    failed.push(...left.filter(({ busyKey }) => busyKey === undefined));
    const [first] = waiting;
    if (first === undefined) return failed;
    if (arrived === undefined) {
      patience.say?.(`Another process is fetching ${JSON.stringify(first.path)}; waiting for it`);
    }
    const now = waiting.map(({ busyKey }) =>
      sizeOf(`${commonDirectory}/annex/tmp/${fileOfKey(busyKey ?? "")}`)
    )
      .join(" ");
    if (now !== arrived) [arrived, arrivedAt] = [now, performance.now()];
    if (performance.now() - arrivedAt > STALLED_MS) return [...failed, ...waiting];
    await pause(wait);
    throwIfInterrupted();
    absent = findAbsent(root, waiting.map(({ path }) => path));
    if (absent.length === 0) return failed;
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

/**
 * Installs the subdatasets that hold a job's inputs and outputs, and returns whether one was not
 * installed before: then globs match what they did not match until now.
 */
export async function installNeeded(
  { root }: Dataset,
  { record, preparation: { assumeReady } }: SubmissionRequest,
): Promise<boolean> {
  if (assumeReady === "both") return false;
  const inputs = [...record.inputs, ...record.extra_inputs];
  const paths = [
    ...(assumeReady === "inputs" ? [] : inputs),
    // Without its subdataset an output would lie in the dataset above.
    ...(assumeReady === "outputs" ? [] : record.outputs.filter((path) => path !== ".")),
  ];
  return await installSubdatasets(root, ".", paths.map(fixedPrefix));
}

/** Installs the subdatasets at and above the paths, from the top down. */
async function installSubdatasets(
  root: string,
  repository: string,
  paths: readonly string[],
): Promise<boolean> {
  const base = repository === "." ? root : `${root}/${repository}`;
  let someNew = false;
  for (const name of await readSubdatasetPaths(base)) {
    const whole = joinPath(repository, name);
    const wanted = paths.some((path) => isWithin(path, whole) || isWithin(whole, path));
    if (!wanted) continue;
    if (!isRepository(`${root}/${whole}`)) {
      await installSubdataset(base, name);
      someNew = true;
    }
    if (await installSubdatasets(root, whole, paths)) someNew = true;
  }
  return someNew;
}
