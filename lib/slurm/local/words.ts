/** The command line of one of Slurm's programs, as getopt_long reads it. */

/** An option that was given; `value` is absent for a flag and for an optional value left out. */
export interface GivenOption {
  readonly name: string;
  readonly value?: string;
}

/** What was read of a command line. */
export interface ReadWords {
  readonly options: readonly GivenOption[];
  readonly operands: readonly string[];
}

/** Says that a program refuses its command line, with the lines it prints on stderr. */
export class Refusal extends Error {
  constructor(message: string, readonly code: number = 1) {
    super(message);
  }
}

/**
 * The options of a program, each as `array a =`: the long name, maybe a letter, and `=` for a value
 * or `?` for one that may be left out.
 */
export type OptionLines = readonly string[];

interface Option {
  readonly name: string;
  readonly letter: string | undefined;
  readonly value: "none" | "required" | "optional";
}

/** How a program reads its words. */
export interface Grammar {
  readonly program: string;
  readonly options: OptionLines;
  /** Whether options end at the first operand, as they do for sbatch and its script. */
  readonly stopsAtOperand: boolean;
  /** The exit code for what cannot be read. */
  readonly refusalCode: number;
}

/** Reads a command line; throws a {@link Refusal} in the words of getopt_long (glibc 2.36). */
export function readWords(grammar: Grammar, words: readonly string[]): ReadWords {
  const table = grammar.options.map(parseLine);
  const options: GivenOption[] = [];
  const operands: string[] = [];
  const queue = [...words];
  const refuse = (message: string) =>
    new Refusal(
      `${grammar.program}: ${message}` +
        // sacct alone says no more.
        (grammar.program === "sacct"
          ? ""
          : `\nTry "${grammar.program} --help" for more information`),
      grammar.refusalCode,
    );
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === "--") {
      operands.push(...queue.splice(0));
    } else if (word.startsWith("--")) {
      options.push(readLong(table, word, queue, refuse));
    } else if (word.startsWith("-") && word !== "-") {
      options.push(...readShort(table, word, queue, refuse));
    } else {
      operands.push(word);
      if (grammar.stopsAtOperand) operands.push(...queue.splice(0));
    }
  }
  return { options, operands };
}

function parseLine(line: string): Option {
  const [name = "", ...rest] = line.split(" ");
  const value = rest.includes("=") ? "required" : rest.includes("?") ? "optional" : "none";
  return { name, letter: rest.find((part) => /^[A-Za-z]$/.test(part)), value };
}

type Refuse = (message: string) => Refusal;

function readLong(
  table: readonly Option[],
  word: string,
  queue: string[],
  refuse: Refuse,
): GivenOption {
  const equals = word.indexOf("=");
  const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const exact = table.find(({ name }) => name === given);
  const near = exact === undefined ? table.filter(({ name }) => name.startsWith(given)) : [exact];
  const [option, ...others] = near;
  if (option === undefined) throw refuse(`unrecognized option '${word}'`);
  if (others.length > 0) {
    const names = near.map(({ name }) => `'--${name}'`).join(" ");
    throw refuse(`option '--${given}' is ambiguous; possibilities: ${names}`);
  }
  const { name, value } = option;
  if (equals >= 0) {
    if (value === "none") throw refuse(`option '--${name}' doesn't allow an argument`);
    return { name, value: word.slice(equals + 1) };
  }
  if (value !== "required") return { name };
  const next = queue.shift();
  if (next === undefined) throw refuse(`option '--${name}' requires an argument`);
  return { name, value: next };
}

function readShort(
  table: readonly Option[],
  word: string,
  queue: string[],
  refuse: Refuse,
): GivenOption[] {
  const found: GivenOption[] = [];
  const letters = [...word.slice(1)];
  for (const [at, letter] of letters.entries()) {
    const option = table.find((candidate) => candidate.letter === letter);
    if (option === undefined) throw refuse(`invalid option -- '${letter}'`);
    if (option.value === "none") {
      found.push({ name: option.name });
      continue;
    }
    const rest = letters.slice(at + 1).join("");
    if (rest !== "") return [...found, { name: option.name, value: rest }];
    if (option.value === "optional") return [...found, { name: option.name }];
    const next = queue.shift();
    if (next === undefined) throw refuse(`option requires an argument -- '${letter}'`);
    return [...found, { name: option.name, value: next }];
  }
  return found;
}
