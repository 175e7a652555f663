import { ToolError } from "../errors.ts";

/** What a placeholder stands for: text put in as it is, or a list joined by spaces. */
export type Substitutions = ReadonlyMap<string, string | readonly string[]>;

/**
 * Returns a word so that a POSIX shell reads it as that one word, with the quoting of Python's
 * `shlex.quote`, which DataLad's records show.
 */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/**
 * Returns the command as it is recorded: one word is a shell command and stays as it is, several
 * are quoted word by word, as `datalad run` does.
 */
export function joinCommand(words: readonly string[]): string {
  const [only] = words;
  return words.length === 1 && only !== undefined ? only : words.map(quoteWord).join(" ");
}

/**
 * Returns the words of a text as a POSIX shell parts them, without doing anything else that a shell
 * does; undefined when its quotes do not match.
 */
export function splitWords(text: string): string[] | undefined {
  const part = /[^\s'"\\]+|'[^']*'|"(?:[^"\\]|\\[^])*"|\\[^]/y;
  const words: string[] = [];
  for (let at = 0; at < text.length;) {
    at += /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
    let word: string | undefined;
    for (part.lastIndex = at; at < text.length; at = part.lastIndex) {
      const found = part.exec(text)?.[0];
      if (found === undefined) break;
      word = (word ?? "") + unquoted(found);
    }
    if (word !== undefined) words.push(word);
    if (at < text.length && !/\s/.test(text.charAt(at))) return undefined;
  }
  return words;
}

function unquoted(part: string): string {
  if (part.startsWith("'")) return part.slice(1, -1);
  if (part.startsWith('"')) return part.slice(1, -1).replace(/\\([\\"$`])/g, "$1");
  return part.startsWith("\\") ? part.slice(1) : part;
}

/**
 * Returns a recorded command with its placeholders filled in: `{name}`, `{name[0]}`, and `{{` and
 * `}}` for braces, as Python's `str.format` reads them. Throws a {@link ToolError} for a name that
 * is not among the substitutions, an index that is out of range, and a lone brace.
 */
export function fillPlaceholders(command: string, substitutions: Substitutions): string {
  return command.replace(
    /\{\{|\}\}|\{([^{}]*)\}|[{}]/g,
    (found: string, field: string | undefined) => {
      if (found === "{{") return "{";
      if (found === "}}") return "}";
      if (field === undefined) {
        throw placeholderError(`The command has a single ${JSON.stringify(found)}`, substitutions);
      }
      return fillField(field, substitutions);
    },
  );
}

function fillField(field: string, substitutions: Substitutions): string {
  const match = /^([^[\]!:]*)(?:\[(\d+)\])?$/.exec(field);
  const [, name = "", index] = match ?? [];
  const value = match === null ? undefined : substitutions.get(name);
  if (value === undefined) {
    throw placeholderError(
      `The command has an unknown placeholder ${JSON.stringify(`{${field}}`)}`,
      substitutions,
    );
  }
  if (index === undefined) return typeof value === "string" ? value : value.join(" ");
  const item = value[Number(index)];
  if (item === undefined) {
    throw placeholderError(
      `The placeholder ${JSON.stringify(`{${field}}`)} asks for an item that is not there ` +
        `(there are ${value.length}, counted from 0)`,
      substitutions,
    );
  }
  return item;
}

function placeholderError(message: string, substitutions: Substitutions): ToolError {
  const names = [...substitutions.keys()].sort().map((name) => `{${name}}`).join(", ");
  return new ToolError("refused", message, {
    hint: `Write braces that are meant literally twice, {{ and }}; known placeholders: ${names}`,
  });
}
