import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** A value, and which file it is from. */
export interface ConfiguredValue {
  readonly value: string;
  /** As git names it: `file:/home/ada/.gitconfig`, `command line:`. */
  readonly origin: string;
}

/**
 * The configuration of a dataset: git's own, and below it what `.datalad/config` of the work tree
 * says in the section `datalad`. That file may be somebody else's: all its other sections are left
 * out, but for what {@link Configuration.find} is asked for.
 */
export interface Configuration {
  /** Returns the value that is in force, with the key's section and name in lower case. */
  get(key: string): string | undefined;
  /** Returns the value as git reads a boolean; `fallback` when it is unset or no boolean. */
  getBoolean(key: string, fallback: boolean): boolean;
  /** Returns a value and where it is from; that of `.datalad/config` where it may be `shared`. */
  find(key: string, shared: boolean): ConfiguredValue | undefined;
  /** Returns all keys that begin so, with the values in force. */
  entries(prefix: string): [string, string][];
}

/**
 * Reads git's configuration and `.datalad/config` in one process. As in DataLad, what git's own
 * files say stands above `.datalad/config`, which travels with the dataset.
 */
export async function readConfiguration(root: string): Promise<Configuration> {
  const datasetFile = `${root}/.datalad/config`;
  const result = await git(root, [
    "-c",
    // A missing file is silently left out.
    `include.path=${datasetFile}`,
    "config",
    "-z",
    "--show-origin",
    "--list",
  ]);
  const own = new Map<string, ConfiguredValue>();
  const dataset = new Map<string, ConfiguredValue>();
  let isDatasets = false;
  // With -z: origin NUL key LF value NUL; a key without LF is a boolean that is true (git 2.30).
  const fields = text(result.stdout).split("\0");
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [origin = "", entry = ""] = [fields[index], fields[index + 1]];
    const newline = entry.indexOf("\n");
    const key = newline < 0 ? entry : entry.slice(0, newline);
    const value = newline < 0 ? "true" : entry.slice(newline + 1);
    // The command line comes last, and this at its end: what follows is from the dataset's file, or
    // from another one that it includes.
    if (origin === "command line:" && key === "include.path" && value === datasetFile) {
      isDatasets = true;
    } else (isDatasets ? dataset : own).set(key, { value, origin });
  }
  return configuration(own, dataset);
}

function configuration(
  own: ReadonlyMap<string, ConfiguredValue>,
  dataset: ReadonlyMap<string, ConfiguredValue>,
): Configuration {
  const values = new Map(
    [...[...dataset].filter(([key]) => key.startsWith("datalad.")), ...own].map((
      [key, { value }],
    ) => [key, value]),
  );
  return {
    get: (key) => values.get(key),
    find: (key, shared) => own.get(key) ?? (shared ? dataset.get(key) : undefined),
    getBoolean(key, fallback) {
      const value = values.get(key)?.toLowerCase();
      if (value === undefined) return fallback;
      if (["true", "yes", "on", "1"].includes(value)) return true;
      return ["false", "no", "off", "0", ""].includes(value) ? false : fallback;
    },
    entries: (prefix) => [...values].filter(([key]) => key.startsWith(prefix)),
  };
}
