/**
 * Roff for man pages, in the man(7) macros that groff and mandoc both read. Pages are ASCII: other
 * characters are written as `\[u2026]`, so that no locale is needed to read them.
 */

/** Returns text as roff: nothing in it is an instruction. */
export function roffText(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    // A plain hyphen may become a typographic one, which cannot be copied to a terminal.
    .replaceAll("-", "\\-")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replaceAll("'", "\\(aq")
    // deno-lint-ignore no-control-regex
    .replace(/[^\x00-\x7f]/gu, (character) => `\\[u${hexOf(character)}]`);
  return escaped.replace(/^\./gm, "\\&.");
}

function hexOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}

/** Returns text in bold. */
export function bold(text: string): string {
  return `\\fB${roffText(text)}\\fR`;
}

/** Returns a word that stands for another, such as `PATH`, in italics. */
export function italic(text: string): string {
  return `\\fI${roffText(text)}\\fR`;
}

/** Returns running text in which `code`, **words** and options such as --since are bold. */
export function roffInline(text: string): string {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\)|(?<![\w-])--[a-z][\w-]*)/).map(
    (part) => {
      if (/^`.*`$/.test(part)) return bold(part.slice(1, -1));
      if (/^\*\*.*\*\*$/.test(part)) return bold(part.slice(2, -2));
      const [, label, target = ""] = /^\[(.*)\]\((.*)\)$/.exec(part) ?? [];
      if (label !== undefined) {
        return /^https?:/.test(target)
          ? `${roffText(label)} (${roffText(target)})`
          : roffText(label);
      }
      return part.startsWith("--") ? bold(part) : roffText(part);
    },
  ).join("").replace(/\s*\n\s*/g, " ");
}

/** Returns lines as they are, in a block of their own. */
export function roffExample(lines: readonly string[]): string[] {
  return [
    ".PP",
    ".RS 4",
    ".EX",
    ...lines.map((line) => line === "" ? ".sp" : roffText(line)),
    ".EE",
    ".RE",
  ];
}

/** Returns the first line of a page. */
export function roffTitle(name: string, section: number, version: string): string {
  const words = [name.toUpperCase(), String(section), "", `datalad-slurm ${version}`];
  return `.TH ${words.map((word) => `"${roffText(word)}"`).join(" ")} "datalad\\-slurm"`;
}

/**
 * Returns the body of a page from Markdown: headings, paragraphs, lists with `-`, tables, and code
 * blocks that are fenced or indented by four spaces. The document's title is left out.
 */
export function roffFromMarkdown(markdown: string): string[] {
  const lines = markdown.split("\n");
  const out: string[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? "";
    const take = (belongs: (line: string) => boolean) => {
      const first = at;
      while (at < lines.length && belongs(lines[at] ?? "")) at++;
      return lines.slice(first, at);
    };
    if (line.trim() === "") {
      at++;
    } else if (line.startsWith("```")) {
      at++;
      out.push(...roffExample(take((next) => !next.startsWith("```"))));
      at++;
    } else if (line.startsWith("    ")) {
      const block = take((next) => next.startsWith("    ") || next === "");
      while (block.at(-1) === "") block.pop();
      out.push(...roffExample(block.map((next) => next.slice(4))));
    } else if (line.startsWith("#")) {
      out.push(...heading(line));
      at++;
    } else if (line.startsWith("|")) {
      out.push(...table(take((next) => next.startsWith("|"))));
    } else if (line.startsWith("- ")) {
      at++;
      const rest = take((next) => /^ {2}\S/.test(next));
      out.push(
        ".IP \\(bu 3",
        roffInline([line.slice(2), ...rest.map((next) => next.trim())].join(" ")),
      );
    } else {
      out.push(
        ".PP",
        roffInline(take((next) => next !== "" && !/^(?:#|\||- )/.test(next)).join(" ")),
      );
    }
  }
  // A heading begins a paragraph by itself.
  return out.filter((line, at) => line !== ".PP" || !/^\.S[HS] /.test(out[at - 1] ?? ""));
}

function heading(line: string): string[] {
  const [, marks = "", text = ""] = /^(#+) (.*)$/.exec(line) ?? [];
  if (marks.length === 1) return [];
  return marks.length === 2
    ? [`.SH "${roffInline(text.toUpperCase())}"`]
    : [`.SS "${roffInline(text)}"`];
}

/** Each row of a table: the first cell as a term, the others below it. */
function table(rows: readonly string[]): string[] {
  return rows.slice(2).flatMap((row) => {
    // A bar within a cell is written `\|`.
    const cells = row.split(/(?<!\\)\|/).slice(1, -1).map((cell) =>
      cell.trim().replace("\\|", "|")
    );
    const [term = "", ...others] = cells;
    return [".TP", roffInline(term), roffInline(others.filter((cell) => cell !== "").join("; "))];
  });
}
