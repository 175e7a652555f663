import { collectOutputs, requireReadable } from "../dataset/collect.ts";
import { type Dataset, openDataset } from "../dataset/dataset.ts";
import { expandPath, fixedPrefix, hasMagic } from "../dataset/globs.ts";
import { expandInput } from "../dataset/paths.ts";
import { ToolError } from "../errors.ts";
import { fileOfKey, findAbsent } from "../git/annexed.ts";
import { getContent, type NotGotten } from "../git/get.ts";
import { installSubdataset, readSubdatasetPaths } from "../git/subdatasets.ts";
import { isRepository, isThere } from "../files.ts";
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
  await installSubdatasets(root, ".", inputs);
  const paths = inputs.flatMap((input) => {
    const found = expandInput(root, input);
    if (found.length === 0) refuseMissing([input]);
    return found;
  });
  const collected = await collectOutputs(root, paths);
  requireReadable(collected);
  const { files, missing } = collected;
  refuseMissing(missing);
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

/** Throws a {@link ToolError} when an input of a request does not exist; fetches and changes nothing. */
export async function refuseMissingInputs(
  { root }: Dataset,
  { record, preparation: { assumeReady } }: SubmissionRequest,
): Promise<void> {
  if (assumeReady === "inputs" || assumeReady === "both") return;
  refuseMissing([...await missingInputs(root, [...record.inputs, ...record.extra_inputs])]);
}

function refuseMissing(missing: readonly string[]): void {
  const [first] = missing;
  if (first === undefined) return;
  throw new ToolError("refused", missingInWords(first), {
    hint: hasMagic(first)
      ? "Nothing was submitted; see what is there with: ls"
      : "Nothing was submitted; --assume-ready inputs skips this check",
    ...(missing.length > 1 ? { details: missing.join("\n") } : {}),
  });
}

/** Says that an input does not exist. */
export function missingInWords(input: string): string {
  return hasMagic(input)
    ? `No file matches the input ${JSON.stringify(input)}`
    : `The input ${JSON.stringify(input)} does not exist`;
}

/**
 * Returns which of the inputs are not there; whether their content can be had is found out later.
 * What a subdataset may bring that is yet to be installed is not among them.
 */
export async function missingInputs(
  root: string,
  inputs: readonly string[],
): Promise<Set<string>> {
  const missing = [...new Set(inputs)].filter((input) =>
    !expandPath(root, input).some((path) => isThere(`${root}/${path}`))
  );
  if (missing.length === 0) return new Set();
  const absent = await absentSubdatasets(root, ".");
  return new Set(missing.filter((input) => !absent.some((whole) => concerns(input, whole))));
}

async function absentSubdatasets(root: string, repository: string): Promise<string[]> {
  const base = repository === "." ? root : `${root}/${repository}`;
  const absent: string[] = [];
  for (const name of await readSubdatasetPaths(base)) {
    const whole = joinPath(repository, name);
    if (!isRepository(`${root}/${whole}`)) absent.push(whole);
    else absent.push(...await absentSubdatasets(root, whole));
  }
  return absent;
}

/** Whether a subdataset may hold what a declared path names, or lies below it. */
function concerns(declared: string, subdataset: string): boolean {
  const path = fixedPrefix(declared);
  return isWithin(path, subdataset) || isWithin(subdataset, path);
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
  return await installSubdatasets(root, ".", paths);
}

/** Installs the subdatasets at, above and below declared paths, from the top down. */
async function installSubdatasets(
  root: string,
  repository: string,
  declared: readonly string[],
): Promise<boolean> {
  const base = repository === "." ? root : `${root}/${repository}`;
  let someNew = false;
  for (const name of await readSubdatasetPaths(base)) {
    const whole = joinPath(repository, name);
    if (!declared.some((path) => concerns(path, whole))) continue;
    if (!isRepository(`${root}/${whole}`)) {
      await installSubdataset(base, name);
      someNew = true;
    }
    if (await installSubdatasets(root, whole, declared)) someNew = true;
  }
  return someNew;
}
