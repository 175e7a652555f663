import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** The configuration of a dataset: git's own, and below it `.datalad/config` of the work tree. */
export interface Configuration {
  /** Returns the value that is in force, with the key's section and name in lower case. */
  get(key: string): string | undefined;
  /** Returns the value as git reads a boolean; `fallback` when it is unset or no boolean. */
  getBoolean(key: string, fallback: boolean): boolean;
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
  const own = new Map<string, string>();
  const dataset = new Map<string, string>();
  // With -z: origin NUL key LF value NUL; a key without LF is a boolean that is true (git 2.30).
  const fields = text(result.stdout).split("\0");
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [origin = "", entry = ""] = [fields[index], fields[index + 1]];
    const newline = entry.indexOf("\n");
    const key = newline < 0 ? entry : entry.slice(0, newline);
    const value = newline < 0 ? "true" : entry.slice(newline + 1);
    (origin === `file:${datasetFile}` ? dataset : own).set(key, value);
  }
  return configuration(new Map([...dataset, ...own]));
}

function configuration(values: ReadonlyMap<string, string>): Configuration {
  return {
    get: (key) => values.get(key),
    getBoolean(key, fallback) {
      const value = values.get(key)?.toLowerCase();
      if (value === undefined) return fallback;
      if (["true", "yes", "on", "1"].includes(value)) return true;
      return ["false", "no", "off", "0", ""].includes(value) ? false : fallback;
    },
    entries: (prefix) => [...values].filter(([key]) => key.startsWith(prefix)),
  };
}
