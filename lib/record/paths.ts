import { absolutePath, pathBelow } from "../paths.ts";
import type { JobRecord } from "./schema.ts";

/** The paths of a record, normalised: relative to the dataset's root where they lie inside it. */
export interface RecordPaths {
  readonly inputs: string[];
  readonly extra_inputs: string[];
  readonly outputs: string[];
  /** The job's logs and its `slurm-job-ID.env.json`; absent before the finish. */
  readonly slurm_run_outputs?: string[];
}

/**
 * Returns the paths of a record relative to the dataset's root, without `./` and doublets; paths
 * outside of it come as absolute ones. `root` is absolute.
 *
 * Our own records hold such paths already. The extension's 0.2.5 writes its logs relative to `pwd`
 * and all else relative to the root; the one of 2024 writes everything relative to `pwd`, or
 * absolute. A record that is written anew from an older one has to be given these paths.
 */
export function recordPaths(record: JobRecord, root: string): RecordPaths {
  const base = absolutePath(root, "/");
  const pwd = absolutePath(record.pwd, base);
  const isOurs = record.datalad_slurm !== undefined;
  const logs = new Set(isOurs ? [] : record.slurm_run_outputs);
  const logsFrom = isOurs ? base : pwd;
  const othersFrom = isOurs || "alt_dir" in record ? base : pwd;
  const normalised = (paths: readonly string[]) => [
    ...new Set(paths.map((path) => {
      const absolute = absolutePath(path, logs.has(path) ? logsFrom : othersFrom);
      return pathBelow(base, absolute) ??
        (isOurs ? undefined : fromElsewhere(absolute, record.pwd)) ??
        absolute;
    })),
  ];
  return {
    inputs: normalised(record.inputs),
    extra_inputs: normalised(record.extra_inputs),
    outputs: normalised(record.outputs),
    ...(record.slurm_run_outputs === undefined
      ? {}
      : { slurm_run_outputs: normalised(record.slurm_run_outputs) }),
  };
}

/**
 * Returns an absolute path of a clone that lies elsewhere relative to its root, which is what stands
 * before the recorded directory: `/data/ds/jobs/20/out` with `pwd` `jobs/20` is `jobs/20/out`.
 */
function fromElsewhere(absolute: string, pwd: string): string | undefined {
  const directory = absolutePath(pwd, "/");
  if (directory === "/" || pwd.startsWith("/")) return undefined;
  const at = `${absolute}/`.lastIndexOf(`${directory}/`);
  return at < 1 ? undefined : absolute.slice(at + 1);
}
