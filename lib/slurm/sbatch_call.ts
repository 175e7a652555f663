import { parseArraySpec } from "./array.ts";

/**
 * Reads a command line that is one call of sbatch, so that its `--array` can be changed. sbatch
 * takes the option of its command line before SBATCH_ARRAY_INX and before `#SBATCH` lines of the
 * script, the last one where there are several, and no option behind the script (22.05).
 */

/** A word of a command line; `end` is the place behind it. */
interface Word {
  readonly start: number;
  readonly end: number;
  readonly value: string;
  /** Whether the shell puts something in that cannot be known here. */
  readonly isOpen: boolean;
}

/** One call of sbatch as it stands in a command line. */
export interface SbatchCall {
  /** The specification that `--array` gives on the command line, such as `0-9%2`. */
  readonly array: string | undefined;
  /**
   * The batch script; undefined where that is not plain: with `--wrap`, from stdin, where the shell
   * puts something in, and where `--chdir` says from where it is looked for.
   */
  readonly script: string | undefined;
  /** Returns the command line with another specification. */
  withArray(spec: string): string;
}

/** Why a command line is not read, for people, or the call. */
export type ReadCall = { readonly call: SbatchCall } | { readonly obstacle: string };

/** Reads a command line as it is recorded: for the shell, placeholders such as `{inputs}` in it. */
export function readSbatchCall(command: string): ReadCall {
  const words = splitWords(command);
  if (typeof words === "string") return { obstacle: words };
  const program = words.findIndex(({ value }) => !/^[A-Za-z_]\w*=/.test(value));
  const name = words[program];
  if (name === undefined || name.isOpen || !/^(?:.*\/)?sbatch$/.test(name.value)) {
    return { obstacle: "it does not begin with sbatch" };
  }
  const options = readOptions(words.slice(program + 1));
  if (typeof options === "string") return { obstacle: options };
  return { call: callOf(command, options) };
}

interface Options {
  /** The word or words of the last `--array`, and what stands before its value there. */
  readonly array: { start: number; end: number; lead: string; spec: string } | undefined;
  /** Where the options end; undefined for `--wrap`, with which all words are options. */
  readonly end: number | undefined;
  readonly script: string | undefined;
}

function callOf(command: string, { array, end, script }: Options): SbatchCall {
  return {
    array: array?.spec,
    script,
    withArray(spec) {
      if (array !== undefined) {
        return command.slice(0, array.start) + array.lead + spec + command.slice(array.end);
      }
      if (end === undefined) return `${command.trimEnd()} --array=${spec}`;
      return `${command.slice(0, end)}--array=${spec} ${command.slice(end)}`;
    },
  };
}

/** Reads options up to the script; returns what stands in the way where there is something. */
function readOptions(words: readonly Word[]): Options | string {
  let array: Options["array"];
  let isWrap = false;
  let isElsewhere = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word === undefined) break;
    const { value, start } = word;
    if (word.isOpen && !/^--?[\w-]+=/.test(value)) {
      return `the shell puts something in for ${JSON.stringify(value)} before the script`;
    }
    if (value === ":") return "it submits a heterogeneous job";
    if (value === "--" || !value.startsWith("-") || value === "-") {
      if (isWrap) return "something stands behind the options";
      const isPlain = !isElsewhere && !value.startsWith("-");
      return { array, end: start, script: isPlain ? value : undefined };
    }
    const option = value.startsWith("--") ? longOption(value) : shortOption(value);
    if (option === undefined) return `sbatch's option ${JSON.stringify(value)} is not known here`;
    const takesNext = option.needsValue && option.value === undefined;
    const next = takesNext ? words[++at] : undefined;
    if (takesNext && next === undefined) return `${JSON.stringify(value)} has no value`;
    if (option.name === "wrap") isWrap = true;
    if (/^(?:D|ch|workdir)/.test(option.name)) isElsewhere = true;
    if (option.name !== "array") continue;
    const spec = next?.value ?? option.value ?? "";
    if (parseArraySpec(spec) === undefined) return `${JSON.stringify(spec)} is no array`;
    array = next === undefined
      ? { start, end: word.end, lead: value.slice(0, value.length - spec.length), spec }
      : { start: next.start, end: next.end, lead: "", spec };
  }
  return isWrap ? { array, end: undefined, script: undefined } : "it names no script";
}

interface Option {
  readonly name: string;
  /** The value in the same word. */
  readonly value?: string;
  readonly needsValue: boolean;
}

function longOption(word: string): Option | undefined {
  const [, given = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  // sbatch takes what a name begins with for the name.
  const name = given.length > 1 && "array".startsWith(given) ? "array" : given;
  if (!VALUES.has(name) && !FLAGS.has(name)) return undefined;
  return { name, needsValue: VALUES.has(name), ...(value === undefined ? {} : { value }) };
}

/** Reads `-Hn4`: flags, and at most one option with a value at the end. */
function shortOption(word: string): Option | undefined {
  for (let at = 1; at < word.length; at++) {
    const letter = word.charAt(at);
    if (SHORT_FLAGS.includes(letter)) continue;
    if (!SHORT_VALUES.includes(letter)) return undefined;
    const value = word.slice(at + 1);
    const name = letter === "a" ? "array" : letter;
    return { name, needsValue: true, ...(value === "" ? {} : { value }) };
  }
  return { name: word, needsValue: false };
}

const SHORT_FLAGS = "hHkOQsuvVW";
const SHORT_VALUES = "aAbBcCdDeFGiJLmMnNopPqStwx";

/** Options without a value, or with one behind `=` only (20.11 to 25.11). */
const FLAGS: ReadonlySet<string> = new Set(
  ("consolidate-segments contiguous disable-stdout-job-info exclusive get-user-env help hold " +
    "ignore-pbs nice no-kill no-requeue oom-kill-step overcommit oversubscribe parsable " +
    "propagate quiet reboot requeue resv-ports share spread-job spread-segments stepmgr " +
    "test-only usage use-min-nodes verbose version wait").split(" "),
);

/** Options with a value (20.11 to 25.11). */
const VALUES: ReadonlySet<string> = new Set(
  ("account acctg-freq array batch bb bbf begin chdir cluster cluster-constraint clusters " +
    "comment constraint container container-id core-spec cores-per-socket cpu-freq " +
    "cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution error exclude " +
    "export export-file extra extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node " +
    "gpus-per-socket gpus-per-task gres gres-flags hint input job-name jobid " +
    "kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu " +
    "mem-per-gpu mincpus network nodefile nodelist nodes ntasks ntasks-per-core " +
    "ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres open-mode output " +
    "partition power prefer priority profile qos reservation segment signal " +
    "sockets-per-node switches thread-spec threads-per-core time time-min tmp tres-bind " +
    "tres-per-job tres-per-task uid wait-all-nodes wckey workdir wrap").split(" "),
);

/**
 * Returns the words of a command line as a shell reads them; where it is more than one simple
 * command, what shows that.
 */
function splitWords(command: string): Word[] | string {
  const words: Word[] = [];
  const token = /\\[^]|'[^']*'|"(?:\\[^]|[^"\\])*"|[^\s'"\\;&|<>()\n]+|\s|[^]/gy;
  let word: { start: number; value: string; isOpen: boolean } | undefined;
  const end = (at: number) => {
    if (word !== undefined) words.push({ ...word, end: at });
    word = undefined;
  };
  for (const { 0: text, index } of command.matchAll(token)) {
    if (text === "\n") return "it has several lines";
    if (/^\s$/.test(text)) {
      end(index);
      continue;
    }
    if (/^[;&|<>()]$/.test(text)) return `it has ${JSON.stringify(text)} of the shell in it`;
    if (/^['"\\]$/.test(text)) return `a quote or backslash in it has no end`;
    word ??= { start: index, value: "", isOpen: false };
    word.value += unquoted(text);
    // Placeholders, variables, commands, and globs may become any number of words.
    if (!text.startsWith("'") && !text.startsWith("\\") && isOpen(text)) word.isOpen = true;
  }
  end(command.length);
  return words;
}

function isOpen(text: string): boolean {
  return /[$`]|\{[^{}]*\}/.test(text) || !text.startsWith('"') && /^~|[*?[]/.test(text);
}

function unquoted(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1);
  if (text.startsWith('"')) return text.slice(1, -1).replace(/\\([$`"\\])/g, "$1");
  return text.startsWith("\\") ? text.slice(1) : text;
}
