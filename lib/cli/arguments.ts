import { ToolError } from "../errors.ts";

/** One option of a command. */
export interface OptionSpec {
  /** The long name, without dashes. */
  readonly name: string;
  /** The letter of the short form. */
  readonly short?: string;
  /** What stands for the value in the help, such as `PATH`; a flag has none. */
  readonly value?: string;
  /** Whether the value may be left out, and is only taken from `--name=VALUE`. */
  readonly optionalValue?: boolean;
  /** Whether the option may be given several times. */
  readonly repeatable?: boolean;
  /** The values that are allowed; any when absent. */
  readonly choices?: readonly string[];
  /** Whether no other program has it, so that it is a mistake behind a command's first word. */
  readonly isOurs?: boolean;
  readonly help: string;
}

/** How the command line of one command is read. */
export interface ArgumentSpec {
  readonly options: readonly OptionSpec[];
  /**
   * What stands behind the options: nothing, any number of operands between options too, or a
   * command of its own, to which everything from its first word on belongs.
   */
  readonly operands: "none" | "any" | "command";
}

/** A command line that was read. */
export interface ParsedArguments {
  /** All values of an option, in their order. */
  all(name: string): readonly string[];
  /** The last value of an option; the empty text for one given without its optional value. */
  last(name: string): string | undefined;
  /** Whether an option was given. */
  has(name: string): boolean;
  readonly operands: readonly string[];
}

/**
 * Reads the words of a command line. Throws a {@link ToolError} of kind `usage` for what it does
 * not understand.
 */
export function parseArguments(spec: ArgumentSpec, words: readonly string[]): ParsedArguments {
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  const queue = [...words];
  const put = (option: OptionSpec, value: string) => {
    const given = values.get(option.name);
    if (given !== undefined && option.value !== undefined && option.repeatable !== true) {
      throw usage(`--${option.name} is given more than once`);
    }
    if (option.choices !== undefined && value !== "" && !option.choices.includes(value)) {
      throw usage(
        `--${option.name} takes ${option.choices.join(" or ")}, not ${JSON.stringify(value)}`,
      );
    }
    if (given === undefined) values.set(option.name, [value]);
    else given.push(value);
  };
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === "--") {
      operands.push(...queue.splice(0));
    } else if (word.startsWith("--")) {
      readLong(spec, word, queue, put);
    } else if (word.startsWith("-") && word !== "-") {
      readShort(spec, word, queue, put);
    } else {
      operands.push(word);
      if (spec.operands === "command") {
        refuseOurs(spec, word, queue);
        operands.push(...queue.splice(0));
      }
    }
  }
  const [first] = operands;
  if (spec.operands === "none" && first !== undefined) {
    throw usage(`${JSON.stringify(first)} is not expected here`);
  }
  return {
    all: (name) => values.get(name) ?? [],
    last: (name) => values.get(name)?.at(-1),
    has: (name) => values.has(name),
    operands,
  };
}

/** What stands behind the command goes to it: an option that is meant for us would do nothing. */
function refuseOurs(spec: ArgumentSpec, command: string, words: readonly string[]): void {
  const ours = spec.options.find(({ name, isOurs }) =>
    isOurs === true && words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`))
  );
  if (ours === undefined) return;
  throw new ToolError("usage", `--${ours.name} stands behind the command, and would go to it`, {
    hint:
      `Options stand before the command: --${ours.name} … ${command} …; where it is meant for ` +
      `the command: -- ${command} …`,
  });
}

type Put = (option: OptionSpec, value: string) => void;

function readLong(spec: ArgumentSpec, word: string, queue: string[], put: Put): void {
  const equals = word.indexOf("=");
  const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const option = spec.options.find((candidate) => candidate.name === name);
  if (option === undefined) throw unknownOption(spec, `--${name}`);
  if (option.value === undefined) {
    if (equals >= 0) throw usage(`--${name} takes no value`);
    put(option, "");
  } else if (equals >= 0) {
    put(option, word.slice(equals + 1));
  } else {
    put(option, option.optionalValue === true ? "" : valueOf(option, queue));
  }
}

function readShort(spec: ArgumentSpec, word: string, queue: string[], put: Put): void {
  const letters = [...word.slice(1)];
  for (const [index, letter] of letters.entries()) {
    const option = spec.options.find((candidate) => candidate.short === letter);
    if (option === undefined) throw unknownOption(spec, `-${letter}`);
    if (option.value === undefined) {
      put(option, "");
    } else {
      const rest = letters.slice(index + 1).join("");
      // As completions write it.
      if (option.optionalValue === true) return put(option, rest.replace(/^=/, ""));
      return put(option, rest === "" ? valueOf(option, queue) : rest);
    }
  }
}

function valueOf(option: OptionSpec, queue: string[]): string {
  const value = queue.shift();
  if (value === undefined) throw usage(`--${option.name} needs a value: ${option.value}`);
  return value;
}

function unknownOption(spec: ArgumentSpec, given: string): ToolError {
  const wanted = given.replace(/^-+/, "");
  const near = nearest(spec.options.map(({ name }) => name), wanted);
  return new ToolError("usage", `There is no option ${JSON.stringify(given)}`, {
    hint: near === undefined
      ? "See the options with --help; a command's own options stand behind its first word"
      : `Perhaps --${near} is meant; see the options with --help`,
  });
}

/** Returns the word that another one was meant to be; undefined where none is near to it. */
export function nearest(words: readonly string[], wanted: string): string | undefined {
  const isCut = (word: string) =>
    wanted.length > 1 && (word.startsWith(wanted) || wanted.startsWith(word));
  const near = words.map((word) => ({ word, far: isCut(word) ? 0 : distance(word, wanted) }))
    .filter(({ far }) => far <= 2 && 2 * far < wanted.length);
  near.sort((a, b) => a.far - b.far || sharedStart(b.word, wanted) - sharedStart(a.word, wanted));
  return near[0]?.word;
}

/** Returns how many letters two words have in common at their beginning. */
function sharedStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/**
 * Returns how many letters have to be changed, put in, left out, or exchanged with the next one, to
 * make one word the other.
 */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        isExchange ? (before[j - 2] ?? 0) + 1 : Infinity,
      ));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}

function usage(message: string): ToolError {
  return new ToolError("usage", message, { hint: "See how it is called with --help" });
}
