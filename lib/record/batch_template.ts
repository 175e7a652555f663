import { ToolError } from "../errors.ts";
import type { BatchLine } from "./batch_lines.ts";
import { quoteWord } from "./command.ts";

/** What the command line of the tool says of every job of a batch; placeholders are the lines'. */
export interface BatchTemplate {
  readonly command: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly message: string | undefined;
}

/** One job of a batch, without placeholders but those of `datalad run` in its command. */
export interface BatchJob {
  readonly line: number;
  /** Words; one word is a command line for the shell. */
  readonly command: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly message: string | undefined;
}

/**
 * Returns the job of a line. `{name}` stands for the value of that name, in the template's command,
 * inputs, outputs and message; in a command line for the shell the value is quoted as one word.
 * Other placeholders of a command are left for `datalad run`'s. Throws a {@link ToolError} for a
 * placeholder of a path or message that there is no value for, of a path also an empty one, for a
 * value that is never used where
 * that is a mistake, and where there is no command.
 */
export function fillTemplate(template: BatchTemplate, line: BatchLine): BatchJob {
  const used = new Set<string>();
  const fillText = (text: string, what: string, isPath = false) =>
    replaceFields(text, (field, name) => {
      if (name === undefined) return field.charAt(0);
      const value = line.values.get(name);
      if (value === undefined) throw unknownField(field, what, line);
      // It would make another path of it, such as the directory above.
      if (isPath && value === "") {
        throw new ToolError("refused", `${what} has {${name}}, and that value is empty`);
      }
      used.add(name);
      return value;
    });
  const fillPath = (path: string, role: string) =>
    fillText(path, `The ${role} ${JSON.stringify(path)}`, true);
  const fillCommand = (word: string) =>
    replaceFields(word, (field, name) => {
      const value = name === undefined ? undefined : line.values.get(name);
      if (name === undefined || value === undefined) return field;
      used.add(name);
      const shown = template.command.length === 1 ? quoteWord(value) : value;
      return shown.replace(/[{}]/g, "$&$&");
    });
  const command = line.command ?? template.command.map(fillCommand);
  if (command.length === 0) {
    throw new ToolError("refused", "It has no command, and the command line has none either");
  }
  const job = {
    line: line.line,
    command,
    inputs: [
      ...line.inputs,
      ...template.inputs.map((path) => fillPath(path, "input")),
    ],
    outputs: [
      ...line.outputs,
      ...template.outputs.map((path) => fillPath(path, "output")),
    ],
    message: line.message ??
      (template.message === undefined ? undefined : fillText(template.message, "The message")),
  };
  const unused = [...line.values.keys()].find((name) => !used.has(name));
  if (line.isStrict && unused !== undefined) {
    throw new ToolError(
      "refused",
      `"${unused}" is neither a member of a job nor used as the placeholder {${unused}}`,
    );
  }
  return job;
}

/** Replaces `{name}`; `{{` and `}}`, which stand for braces, come without a name. */
function replaceFields(
  text: string,
  replace: (field: string, name: string | undefined) => string,
): string {
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}/g, replace);
}

function unknownField(field: string, what: string, { values }: BatchLine): ToolError {
  const known = [...values.keys()].map((name) => `{${name}}`).join(", ");
  return new ToolError(
    "refused",
    `${what} has the placeholder ${JSON.stringify(field)}, for which it has no value` +
      (known === "" ? "" : ` (it has ${known})`),
  );
}
